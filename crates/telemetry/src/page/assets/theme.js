// Light, dark, or as the system has it. Runs before anything is painted.
(() => {
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  try {
    const kept = localStorage.getItem("adit-theme");
    if (themes.includes(kept)) theme = kept;
  } catch { /* a browser that keeps nothing: as the system has it */ }
  const root = document.documentElement;
  const apply = () => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const text = document.getElementById("theme-text");
    const show = () => {
      text.textContent = theme[0].toUpperCase() + theme.slice(1);
      button.setAttribute("aria-label", `Theme: ${theme}. Change it`);
    };
    show();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      try { localStorage.setItem("adit-theme", theme); } catch { /* until the tab is closed, then */ }
      apply();
      show();
      document.dispatchEvent(new Event("adit-theme"));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("adit-theme")));
  });
})();
