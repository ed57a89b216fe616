// Shows the ipywidgets of a page without kernel and without network.
// widgetsnbextension's script holds every class needed, but wants the classic notebook around it: `Jupyter`, `requirejs` and
// `define` below are the least of these that it asks for. Links between widgets (jslink) work; Python callbacks cannot.
(() => {
  const here = document.currentScript.src;
  const read = (type) => [...document.querySelectorAll(`script[type="application/vnd.jupyter.widget-${type}+json"]`)];

  const none = () => {};
  const kernel = {
    is_connected: () => true,
    comm_info: (target, answer) => answer({ content: { comms: {} } }),
    comm_manager: { register_target: none, new_comm: (a, b, c, d, e, f) => Promise.reject(new Error("no kernel")) },
  };
  kernel.comm_manager.kernel = kernel;
  const actions = { register: none, get: none };
  const notebook = {
    kernel,
    metadata: {},
    container: { on: none },
    events: { on: none },
    keyboard_manager: { actions, register_events: none },
    get_cells: () => [],
  };
  const jupyter = { version: "7.0.0", notebook, menubar: { actions }, notification_area: { widget: none } };
  class OutputArea {
    register_mime_type() {}
  }
  const modules = {
    "base/js/namespace": jupyter,
    "base/js/events": notebook.events,
    "notebook/js/outputarea": { OutputArea },
    module: { uri: here },
  };
  const require = (names, done) => done(...names.map((name) => modules[name]));
  require.config = none;

  // What the page around the widgets must allow for.
  async function prepare() {
    const style = document.createElement("style"); // no kernel is meant, so nothing is marked as disconnected
    style.textContent = [
      ".jupyter-widgets-disconnected::before { content: none !important; padding: 0 !important; }",
      ".widget-play i svg { display: none; } .widget-play i { font-style: normal; }",
      ".widget-play button:nth-child(1) i::before { content: '\u25B6'; }",
      ".widget-play button:nth-child(1) i.fa-pause::before { content: '\u275A\u275A'; }",
      ".widget-play button:nth-child(2) i::before { content: '\u25A0'; }",
      ".widget-play button:nth-child(3) i::before { content: '\u21BB'; }",
    ].join("\n");
    document.head.append(style);
    // The theme's Font Awesome swaps <i> for <svg>, and Play, which looks for its <i>, fails: keep the <i>, draw its sign here.
    if (window.FontAwesome) window.FontAwesome.config.autoReplaceSvg = "nest";
    // The widgets call MathJax 2; the page has MathJax 3, or none.
    if (!window.MathJax) return;
    await window.MathJax.startup?.promise;
    window.MathJax.Hub = { Queue: ([name, hub, element]) => window.MathJax.typesetPromise([element]) };
  }

  // A slider is named as on the screen, and says the caption of the picture that it shows instead of a bare number; the buttons
  // of a player, which are signs only, get a name.
  function describe(place) {
    const say = () => {
      for (const handle of place.querySelectorAll("[role=slider]")) {
        handle.setAttribute("aria-label", handle.closest(".widget-slider").querySelector(".widget-label").textContent);
        const caption = place.querySelector(".widget-html p");
        if (caption) handle.setAttribute("aria-valuetext", caption.textContent);
      }
      for (const player of place.querySelectorAll(".widget-play")) {
        const names = ["play or pause", "stop", "repeat"];
        player.querySelectorAll("button").forEach((button, i) => button.setAttribute("aria-label", names[i]));
      }
    };
    new MutationObserver(say).observe(place, { childList: true, subtree: true });
    say();
  }

  async function show(library) {
    await prepare();
    // The manager adds a menu beside the notebook's help menu: give it one that nobody sees.
    const menu = document.createElement("ul");
    menu.hidden = true;
    menu.innerHTML = '<li><a id="help_menu"></a></li>';
    document.body.append(menu);
    await library.load_ipython_extension();
    menu.remove();
    const manager = kernel.widget_manager;
    for (const script of read("state")) await manager.set_state(JSON.parse(script.textContent));
    for (const script of read("view")) {
      const place = document.createElement("div");
      place.className = "jupyter-widgets-view";
      script.after(place);
      const model = await manager.get_model(JSON.parse(script.textContent).model_id);
      const view = await manager.create_view(model);
      library.JupyterLuminoWidget.attach(view.luminoWidget, place);
      describe(place);
    }
    document.documentElement.dataset.widgets = "shown";
  }

  window.Jupyter = jupyter;
  window.require = window.requirejs = require;
  window.define = (names, make) => {
    delete window.define;
    show(make(...names.map((name) => modules[name])));
  };
  const script = document.createElement("script");
  script.src = new URL("jupyter-widgets.js", here);
  document.head.append(script);
})();
