import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const executable = "/usr/bin/chromium";

/**
 * Starts Debian's Chromium without a window. Installs it by apt where it is missing and this is root.
 *
 * @throws Error that names the command to install it.
 */
export async function startBrowser(): Promise<Browser> {
	if (!existsSync(executable)) installChromium();
	return await chromium.launch({
		executablePath: executable,
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-sync",
		],
	});
}

function installChromium(): void {
	const install = ["install", "--yes", "--no-install-recommends", "chromium"];
	if (process.getuid?.() !== 0)
		throw new Error(`the browser test needs Chromium: apt-get ${install.join(" ")}`);
	const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	execFileSync("apt-get", ["update", "--quiet"], { env: environment, stdio: "ignore" });
	execFileSync("apt-get", install, { env: environment, stdio: "ignore" });
}
