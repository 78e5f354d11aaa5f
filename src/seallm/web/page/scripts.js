// Text in, the language whose fonts and spacing suit its script out.

const SCRIPTS = [
  ["th", /\p{Script=Thai}/gu], ["lo", /\p{Script=Lao}/gu], ["km", /\p{Script=Khmer}/gu],
  ["my", /\p{Script=Myanmar}/gu], ["zh", /\p{Script=Han}/gu],
];

// The language whose script has most of a text's letters; "" for Latin and mixtures without any of these scripts.
export function languageOf(text) {
  const counts = SCRIPTS.map(([code, script]) => [text.match(script)?.length ?? 0, code]);
  const [count, code] = counts.reduce((best, other) => (other[0] > best[0] ? other : best));
  return count ? code : "";
}
