// A slider for each trait, with the face at either end; a click on an end goes there.

const END = 46; // pixels, as in faces.css

// `moved` hears of each move, `settled` of those that are over.
export function addSliders(place, names, reach, moved, settled) {
  const sliders = names.map((name, i) => {
    const words = name.replaceAll("_", " ");
    const title = words[0].toUpperCase() + words.slice(1);
    const row = document.createElement("div");
    row.className = "slider";
    row.innerHTML = `<button class="end"></button>
      <div><label for="slider-${i}"><span></span><output></output></label>
      <input type="range" id="slider-${i}" step="0.05"></div>
      <button class="end"></button>`;
    const [least, most] = row.querySelectorAll("button");
    const [input, output] = [row.querySelector("input"), row.querySelector("output")];
    row.querySelector("span").textContent = title;
    Object.assign(input, { min: -reach, max: reach, value: 0 });
    const paint = () => {
      const value = Number(input.value);
      const half = 50 * (value / reach);
      output.textContent = value === 0 ? "" : value.toFixed(1).replace("-", "\u2212");
      input.setAttribute("aria-valuetext", value.toFixed(1));
      input.style.setProperty("--long", `${Math.abs(half)}%`);
      // The position of a background of that length, so that it begins in the middle.
      const free = 100 - Math.abs(half);
      input.style.setProperty("--from", `${(100 * (half < 0 ? 50 + half : 50)) / free}%`);
    };
    input.addEventListener("input", () => { paint(); moved(); });
    input.addEventListener("change", settled);
    input.addEventListener("dblclick", () => set(0));
    const set = (value) => {
      input.value = value;
      paint();
      moved();
      settled();
    };
    for (const [end, value] of [[least, -reach], [most, reach]]) {
      end.setAttribute("aria-label", `${title}: ${value < 0 ? "least" : "most"}`);
      end.addEventListener("click", () => set(value));
    }
    place.append(row);
    return { name, input, paint, ends: [least, most] };
  });

  return {
    amounts: () => Object.fromEntries(sliders.map((s) => [s.name, Number(s.input.value)])),
    set(amounts) {
      for (const slider of sliders) {
        slider.input.value = amounts[slider.name] ?? 0;
        slider.paint();
      }
    },
    ends: sliders.flatMap((slider) => slider.ends),
    // The sheet has a row a slider, and two columns.
    place(ends) {
      ends.forEach((end, i) => {
        end.style.backgroundPosition = `${-END * (i % 2)}px ${-END * Math.floor(i / 2)}px`;
      });
    },
  };
}
