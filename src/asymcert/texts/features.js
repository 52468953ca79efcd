// From texts to features, as asymcert.texts does it in Python and for the same results.
// `stored` is an encoder as a model stores it (TextEncoder.to_dict() in Python, as JSON), or the part of it that is named.

const RULES = 1;
const [HANGUL, VOWELS, TAILS, SYLLABLES] = [0xac00, 21, 28, 11172];
const OPENING = String.raw`[^ \n("\[]`;
const AFTER = String.raw`(?![^ \n,;:.!?)'"\]])`;
const END = String.raw`(?:[ \n]|(?![^\n]))`;
const LAST = String.raw`(?=[,;:.!?)'"\]]*${END})`;
const expression = (...parts) => new RegExp(parts.join(""), "gu");

const AT = /@(?<=[a-z0-9]@)(?=[a-z0-9])(?![a-z0-9-]*\.[a-z0-9])/gu;
const DOLLAR = /\$(?<!\$\$)\$*(?=[a-z])/gu;
const DIGIT_IN_WORD = expression(
  String.raw`[0-9](?:(?<=[a-z].)[0-9]{0,2}(?![0-9])|(?<![0-9$].)[0-9]{0,2}(?=[a-z])|(?<!${OPENING}.)${LAST})`,
);
const APART = expression(
  String.raw`([ ._*\-])(?=[a-z013457]\1)(?<=[a-z013457].)(?<!${OPENING}..)(?:(?<=[a-z].)|(?=[a-z]))`,
  String.raw`[a-z013457](?:\1[a-z013457])+${AFTER}(?:\.(?=[,;:!?]))?`,
);
const JOINTS = /[ ._*\-]/gu;
const RUN = /([a-z\u{80}-\u{10ffff}])\1+/gu;
const SPACES = / (?=[ ,;:.!?)])/gu;
const LETTERS = { 0: "o", 1: "i", 3: "e", 4: "a", 5: "s", 7: "t" };

/** The function from a text to its canonical form, from the form that a model stores. */
export function canonicalForm(stored) {
  if (stored.rules !== RULES) throw new Error(`rules must be ${RULES}, got ${stored.rules}`);
  const become = characters(stored.characters);
  const digits = (text) => (stored.digits ? lettersForDigits(text) : text);
  const letters = (text) => (stored.repeats ? digits(text).replace(RUN, "$1") : digits(text));
  const join = (text) => (stored.spaced ? then((all) => all.replace(APART, withoutJoints), text, letters) : text);
  return (text) => {
    const joined = join(letters(Array.from(text, become).join("")));
    return then((all) => all.replace(SPACES, ""), joined, join).replace(/^ +| +$/gu, "");
  };
}

function characters({ becomes, dropped, apart }) {
  const table = new Map();
  for (const [target, sources] of Object.entries(becomes)) for (const one of sources) table.set(one, target);
  return (one) => {
    if (!table.has(one)) table.set(one, byRange(one, dropped, apart));
    return table.get(one);
  };
}

function byRange(one, dropped, apart) {
  const code = one.codePointAt(0);
  if (inside(dropped, code)) return "";
  if (inside(apart, code)) return ` ${one} `;
  return code >= HANGUL && code < HANGUL + SYLLABLES ? jamo(code - HANGUL) : one;
}

/** Whether a code point lies in one of the ranges of which these are the ends. */
function inside(ends, code) {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= code) low = middle + 1;
    else high = middle;
  }
  return low % 2 === 1;
}

function jamo(index) {
  const [rest, tail] = [Math.floor(index / TAILS), index % TAILS];
  const codes = [0x1100 + Math.floor(rest / VOWELS), 0x1161 + (rest % VOWELS), 0x11a7 + tail];
  return String.fromCodePoint(...(tail ? codes : codes.slice(0, 2)));
}

function lettersForDigits(text) {
  const words = text.replace(DOLLAR, "s").replace(AT, "a");
  return words.replace(DIGIT_IN_WORD, (found) => found.replace(/[013457]/gu, (digit) => LETTERS[digit]));
}

const withoutJoints = (found) => found.replace(JOINTS, "");

function then(rule, text, after) {
  const changed = rule(text);
  return changed === text ? text : after(changed);
}

const ENDINGS = "biz|cc|click|cn|com|de|edu|eu|fr|gov|info|io|link|ly|net|online|org|ru|shop|site|tk|top|uk|xyz";
const ADDRESS = /(?<![a-z0-9._+\-])[a-z0-9._+\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)+/gu;
const LINK = expression(
  String.raw`(?<![a-z0-9])(?:ht+ps?://|w(?:ww)?\.(?=[a-z0-9\-]+\.[a-z]))[^ \n"'<>]*[^ \n"'<>.,;:!?)\]]`,
  String.raw`|(?<![a-z0-9.\-])(?:[a-z0-9\-]+\.)+(?:${ENDINGS})(?![a-z0-9\-])(?:[/?:][^ \n"'<>]*[^ \n"'<>.,;:!?)\]])?`,
);
const SENTENCE_END = expression(
  String.raw`[.!?](?<![.!?].)(?:(?<!(?<![a-z0-9])[a-z]\.)(?<!(?<![a-z0-9])(?:mr|ms|dr|st|vs|no)\.)`,
  String.raw`(?<!(?<![a-z0-9])(?:mrs|etc)\.)|(?=[.!?]))[.!?]*["')\]]*(?=${END})`,
);
const DIGITS = /(?<![^ \n])([0-9]+)(?![^ \n])|[0-9]+/gu;

const typed = (text) => text.replace(ADDRESS, " \x01 ").replace(LINK, " \x00 ");
const split = (text) => text.split(/[ \n]+/u).filter((word) => word);

function spread(text) {
  return text
    .replace(/['`]/gu, "")
    .replace(/[!-&(-\/:-@\[-_{-~]/gu, " $& ")
    .replace(DIGITS, (_, alone) => (alone ? `<n${Math.min(alone.length, 12)}>` : "#"))
    .replaceAll("\x00", "<url>")
    .replaceAll("\x01", "<email>");
}

/** The words of a canonical form. */
export function wordsOf(form) {
  return split(spread(typed(form)));
}

/** The words of each sentence of a canonical form. */
export function sentencesOf(form) {
  const sentences = typed(form).replace(SENTENCE_END, "$&\n").split("\n");
  return sentences.map((sentence) => split(spread(sentence))).filter((words) => words.length);
}

const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The text itself, then what it says decoded once and twice. */
export function viewsOf(text) {
  const once = decoded(text);
  return [...new Set([text, once, decoded(once)])];
}

function decoded(text) {
  return text
    .replace(/[\u{e0020}-\u{e007e}]/gu, (tag) => String.fromCodePoint(tag.codePointAt(0) - 0xe0000))
    .replace(/(?:%[0-9A-Fa-f]{2})+/gu, (part) => utf8(part) || part)
    .replace(/&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gu, entity)
    .replace(/(?:[0-9A-Fa-f]{2}){8,}/gu, (part) => readable(part.replace(/../gu, "%$&"), part))
    .replace(/[A-Za-z0-9+/_\-]{16,}={0,2}/gu, (part) => readable(percentOfBase64(part), part));
}

function entity(found, decimal, hexadecimal, name) {
  if (name) return NAMED[name];
  const code = decimal ? parseInt(decimal, 10) : parseInt(hexadecimal, 16);
  const exists = code > 0 && code < 0x110000 && !(code >= 0xd800 && code < 0xe000);
  return exists ? String.fromCodePoint(code) : found;
}

function percentOfBase64(part) {
  const digits = part.replace(/=/gu, "").replace(/-/gu, "+").replace(/_/gu, "/");
  const bytes = [];
  for (let i = 0; i + 1 < digits.length; i += 4) {
    const [a, b, c, d] = [0, 1, 2, 3].map((k) => ALPHABET.indexOf(digits[i + k] ?? "A"));
    const triple = [(a << 2) | (b >> 4), ((b & 15) << 4) | (c >> 2), ((c & 3) << 6) | d];
    bytes.push(...triple.slice(0, Math.min(digits.length - i, 4) - 1));
  }
  return bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

function readable(percent, otherwise) {
  const text = utf8(percent);
  const odd = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/u.test(text);
  const length = Array.from(text).length;
  return odd || 2 * (text.match(/[A-Za-z ]/gu) ?? []).length <= length ? otherwise : text;
}

function utf8(percent) {
  try {
    return decodeURIComponent(percent);
  } catch {
    return "";
  }
}

function rot13(text) {
  return text.replace(/[A-Za-z]/gu, (letter) => {
    const code = letter.charCodeAt(0);
    return String.fromCharCode((code & 31) > 13 ? code - 13 : code + 13);
  });
}

const [WHOLE, SENTENCE, DECODED] = [0, 1, 2]; // what a window is: all of a text, one of its sentences, or decoded
const EDGE = " "; // before and after a word in its parts
const COUNTS = 2 ** 20; // more than occurrences that are told apart

/**
 * The function from a text to its windows, `{kind, features}` each; features are ascending numbers of a row's ones.
 *
 * The greatest score of the windows is the text's.
 */
export function encoder(stored) {
  const form = canonicalForm(stored.form);
  const features = vocabulary(stored.vocabulary);
  const parts = (own) => {
    const sentences = stored.windows === "whole" ? [] : sentencesOf(own);
    const whole = stored.windows !== "sentences" || !sentences.length ? [[WHOLE, wordsOf(own)]] : [];
    return [...whole, ...sentences.map((words) => [SENTENCE, words])];
  };
  return (text) => {
    const own = form(text);
    const forms = stored.decoded ? viewsOf(text).map(form) : [];
    const others = new Set([...forms, ...forms.map((other) => form(rot13(other)))]);
    others.delete(own);
    const decoded = [...others].sort(byCodePoint).flatMap(parts);
    const windows = [...parts(own), ...decoded.map(([, words]) => [DECODED, words])];
    return windows.map(([kind, words]) => ({ kind, features: features(words) }));
  };
}

/** The function from a list of words to the ascending numbers of its features. */
function vocabulary({ words, often, pairs, grams, longest }) {
  const number = new Map(words.map((word, place) => [word, place]));
  const numbered = (list, key, first) => new Map(list.map((one, place) => [key(...one), first + place]));
  const repeated = numbered(often, (word, least) => number.get(word) * COUNTS + least, words.length);
  const pairKey = (left, right) => number.get(left) * words.length + number.get(right);
  const beside = numbered(pairs, pairKey, words.length + often.length);
  const parts = new Map(grams.map((gram, place) => [gram, words.length + often.length + pairs.length + place]));
  const lengths = [...new Set(grams.map((gram) => Array.from(gram).length))];
  return (list) => {
    const found = new Set();
    const times = new Map();
    let left;
    for (const word of list) {
      const own = number.get(word);
      if (own !== undefined) {
        times.set(own, (times.get(own) ?? 0) + 1);
        found.add(own).add(repeated.get(own * COUNTS + times.get(own)));
        if (left !== undefined) found.add(beside.get(left * words.length + own));
      }
      left = own;
      if (lengths.length) for (const part of partsOf(word, lengths, longest)) found.add(parts.get(part));
    }
    found.delete(undefined);
    return [...found].sort((one, other) => one - other);
  };
}

/** Parts, of some lengths, of the first `longest` letters of a word; typed words have none. */
function partsOf(word, lengths, longest) {
  if (word.startsWith("<")) return [];
  const letters = Array.from(word);
  const edged = [EDGE, ...letters.slice(0, longest), ...(letters.length > longest ? [] : [EDGE])];
  const ofLength = (length) => edged.slice(length - 1).map((_, start) => edged.slice(start, start + length).join(""));
  return lengths.flatMap(ofLength);
}

function byCodePoint(one, other) {
  const [left, right] = [Array.from(one), Array.from(other)];
  const place = left.findIndex((letter, i) => letter !== right[i]);
  if (place < 0) return left.length - right.length;
  return place < right.length ? left[place].codePointAt(0) - right[place].codePointAt(0) : 1;
}
