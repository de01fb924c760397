import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
	plugins: [react()],
	// The one place the development container may write to.
	cacheDir: "node_modules/.vite",
	server: {
		host: "0.0.0.0",
		port: 5173,
		strictPort: true,
		// Names only: localhost and addresses are always allowed. Hot reload needs no setting,
		// its client connects to the page's own origin, which is the proxy's.
		allowedHosts: ["frontend", "proxy"],
	},
});
