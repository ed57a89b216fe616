// Make a page of the site ready to be printed as a part of the book, whose pages have these addresses.
async (pages) => {
  await window.MathJax?.startup.promise;
  while (document.querySelector("script[type*='widget-view']") && document.documentElement.dataset.widgets !== "shown")
    await new Promise((next) => setTimeout(next, 100));
  // A table to sort and filter has some of its rows in the page: now all.
  const made = [...document.scripts].filter((script) => script.text.includes("new ITable(")).length;
  const { jQuery } = made ? await window[Object.keys(window).find((key) => /^_itables_\d/.test(key))] : {};
  while (made && jQuery.fn.dataTable.tables().length < made) await new Promise((next) => setTimeout(next, 100));
  if (made) jQuery(jQuery.fn.dataTable.tables()).DataTable().page.len(-1).draw();
  // pdf.py finds links within the book by their scheme; a file of the site or a table to download is nothing in a PDF.
  for (const link of document.querySelectorAll("article a[href]"))
    if (pages.includes(link.href.split("#")[0])) link.href = link.href.replace("file:", "book:");
    else if (!link.protocol.startsWith("http")) link.removeAttribute("href");
  // Chromium writes into the PDF where an id stands only if something on the page leads to it.
  for (const place of document.querySelectorAll("article [id]"))
    document.body.append(Object.assign(document.createElement("a"), { href: `#${place.id}`, hidden: true }));
}
