"""A run of texts whose figures can be told by hand."""

import torch

from asymcert.attacks.texts.problem import TextProblem
from asymcert.datasets.binary import Split
from asymcert.evaluate.audit import audit
from asymcert.evaluate.run import evaluate
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.threats.table import TableThreat
from contracts.messages import HARMLESS, SPAM, additive

MARKUP = "cash prize <script>document.title='taken'</script> \u202egod\u202c"
TEXTS = (*SPAM, MARKUP, *HARMLESS)
KINDS = ((("add",), False), (("add", "remove"), False), ((), True))


def text_run(path, kinds=KINDS, audited=False, proofs=None):
    """A folder with certificates of `TEXTS` against kinds of edits, with or without sentences, and attacks on them."""
    model = additive("both")
    problem = TextProblem(model, model.scaling.columns[0].encoder)
    label = torch.tensor([text in (*SPAM, MARKUP) for text in TEXTS])
    split = Split(problem.inputs(TEXTS), label, texts=TEXTS)
    run = RunFolder(path)
    scaling = model.scaling.to_dict()
    run.create(RunFacts("messages", None, "data", "spam", "harmless", model.input_shape, {}, 0, scaling))
    run.save_model(model)
    table = TableThreat(model.scaling)
    threats = [table.words(edits, sentences=sentences, marks_stay=True) for edits, sentences in kinds]
    evaluate(model, split, run, threats, data_digest="data", seed=0, proofs=proofs)
    if audited:
        audit(model, split, run, threats[:1])
    return run
