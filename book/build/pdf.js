// A table to sort and filter has some of its rows in the page: a plain one with all of them takes its place.
async () => {
  const made = [...document.scripts].filter((script) => script.text.includes("new ITable(")).length;
  const name = Object.keys(window).find((key) => /^_itables_\d/.test(key));
  if (!made) return;
  const { jQuery } = await window[name];
  while (jQuery.fn.dataTable.tables().length < made) await new Promise((next) => setTimeout(next, 100));
  for (const table of jQuery.fn.dataTable.tables()) {
    const all = jQuery(table).DataTable().page.len(-1).draw();
    const plain = Object.assign(document.createElement("table"), { className: "kd-rows" });
    const head = plain.createTHead().insertRow();
    all.columns().every(function () {
      const className = this.header().classList.contains("kd-how") ? "kd-how" : "";
      head.append(Object.assign(document.createElement("th"), { innerHTML: this.title(), className }));
    });
    plain.createTBody().append(...all.rows().nodes().toArray());
    table.closest(".dt-container").replaceWith(plain);
  }
}
