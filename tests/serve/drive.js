// What a person does at the page; the test reads what it looks like in the end.

const steps = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const by = (selector) => document.querySelector(selector);

async function until(test) {
  for (let i = 0; i < 200 && !test(); i++) await pause(0.05);
}

async function act([what, selector, value]) {
  await until(() => by(selector));
  const target = by(selector);
  if (what === "click") target.click();
  if (what === "fill") {
    target.value = value;
    target.dispatchEvent(new Event("input", { bubbles: true }));
  }
  if (what === "upload") {
    const files = new DataTransfer();
    files.items.add(new File([value], "upload.csv"));
    target.files = files.files;
    target.dispatchEvent(new Event("change", { bubbles: true }));
  }
  if (what === "see") await until(() => by(selector).textContent.includes(value));
  if (what === "note") document.body.dataset[value] = target.textContent;
  await pause(0.3);
}

await until(() => !by("#ask").hidden || !by("#login").hidden);
for (const step of steps) await act(step);
document.body.dataset.done = "yes";
