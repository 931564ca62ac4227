// What the page says: errors, which stay, and what was done, which goes by itself.

const line = document.getElementById("error");
const status = document.getElementById("status");
let timer = 0;

line.querySelector("button").addEventListener("click", () => showError(null));

export function showError(error) {
  line.hidden = error === null;
  if (error === null) return;
  const lost = error instanceof TypeError && /fetch|network/i.test(error.message);
  line.querySelector("span").textContent = lost ? "The server does not answer." : error.message;
}

export function say(words) {
  status.textContent = words;
  clearTimeout(timer);
  timer = setTimeout(() => { status.textContent = ""; }, 3000);
}

// Into the clipboard, which browsers keep from pages of other machines without TLS.
export async function copy(text, done, failed) {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    say(failed);
  }
}
