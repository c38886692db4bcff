// Runs before the first paint, so that a chosen theme does not flash the other one. See src/state/theme.ts.
try {
  const theme = localStorage.getItem('sandle.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Storage is forbidden here: the system's theme it is.
}
