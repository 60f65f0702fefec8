// Lets the search work on pages that are opened as files, where browsers start no worker: its
// script runs in a hidden frame. It is named as the theme's plugin `offline` looks for it.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inside = frame.contentWindow
      inside.document.open()
      inside.document.write("<body></body>")
      inside.document.close()
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = inside.document.createElement("script")
      script.src = address
      const ready = new Promise(resolve => (script.onload = resolve))
      inside.document.body.append(script)
      this.postMessage = data =>
        ready.then(() => inside.dispatchEvent(new inside.MessageEvent("message", { data })))
    }
  }
}
