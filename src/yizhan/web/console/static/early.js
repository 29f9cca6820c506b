// Before the first paint: language, light or dark, and how far this clock is from the gateway's.
(() => {
  const told = document.currentScript.dataset;
  const root = document.documentElement;
  root.lang = told.lang;
  root.dataset.theme = told.theme;
  window.yizhan = { ...told, ahead: Number(told.now) - Date.now() };
})();
