// A field for a seed, which says what is wrong with others.

import { MAX_SEED, seedOf } from "./address.js";

// `touched` hears that somebody types, `take` gets a seed.
export function seedField(input, wrong, touched, take) {
  input.addEventListener("input", () => {
    touched();
    if (seedOf(input.value) !== null) refuse("");
  });
  input.addEventListener("change", () => {
    const seed = seedOf(input.value);
    if (seed === null) {
      const most = MAX_SEED.toLocaleString("en");
      refuse(`\u201c${input.value}\u201d is no seed: a whole number from 0 to ${most}.`);
    } else {
      refuse("");
      take(seed);
    }
  });
  const refuse = (words) => {
    wrong.textContent = words;
    input.setAttribute("aria-invalid", words !== "");
  };
  return (seed) => {
    input.value = seed;
    refuse("");
  };
}
