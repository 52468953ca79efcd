"""Texts as a detector reads them: canonical form, words, sentences, decoded parts."""

from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.views import views_of
from asymcert.texts.words import sentences_of, words_of, words_of_many

__all__ = ["CanonicalForm", "sentences_of", "views_of", "words_of", "words_of_many"]
