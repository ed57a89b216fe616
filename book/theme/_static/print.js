// Before a page is printed: light colours, and every wide table made to fit; afterwards as before.
(() => {
  const PAPER = 670; // px: the width between the margins of A4, see print.css
  const root = document.documentElement;
  let theme;
  window.addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    for (const table of document.querySelectorAll("article table"))
      table.style.setProperty("--kd-zoom", Math.min(1, PAPER / table.scrollWidth));
  });
  window.addEventListener("afterprint", () => {
    root.dataset.theme = theme;
    for (const table of document.querySelectorAll("article table")) table.style.removeProperty("--kd-zoom");
  });
})();
