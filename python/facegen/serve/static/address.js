// The page's address: which part is shown, and in Faces which face. #faces?seed=7&to=9&t=0.5&smile=1

export const MAX_SEED = Number.MAX_SAFE_INTEGER;

export const readAddress = () => {
  const [part, query] = location.hash.slice(1).split("?");
  return { part, query: new URLSearchParams(query ?? "") };
};

// A face as the server's addresses have it.
export function queryOf(face) {
  const query = new URLSearchParams({ seed: face.seed });
  if (face.to !== null && face.t > 0) {
    query.set("to", face.to);
    query.set("t", face.t);
  }
  for (const [name, amount] of Object.entries(face.amounts)) {
    if (amount !== 0) query.set(name, amount);
  }
  return query.toString();
}

// The face of such a query; null where it has none.
export function faceOf(query, names, reach) {
  const seed = seedOf(query.get("seed") ?? "");
  if (seed === null) return null;
  const amounts = {};
  for (const name of names) {
    const amount = Number(query.get(name) ?? 0);
    amounts[name] = Number.isFinite(amount) ? clamped(amount, -reach, reach) : 0;
  }
  const t = Number(query.get("t") ?? 0);
  return { seed, to: seedOf(query.get("to") ?? ""), t: clamped(t || 0, 0, 1), amounts };
}

// A seed as people write it; null where it is none.
export function seedOf(text) {
  const seed = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
  return seed <= MAX_SEED ? seed : null;
}

export const anySeed = () => Math.floor(Math.random() * 1e6);

const clamped = (value, least, most) => Math.min(most, Math.max(least, value));
