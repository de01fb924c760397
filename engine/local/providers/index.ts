/** The resource types that the local engine can apply: exactly those of this program. */
import type { Provider } from "../provider.ts";
import { commandProvider } from "./command.ts";
import { containerProvider } from "./container.ts";
import { imageProvider } from "./image.ts";
import { networkProvider } from "./network.ts";
import { randomPasswordProvider } from "./random-password.ts";
import { remoteImageProvider } from "./remote-image.ts";
import { volumeProvider } from "./volume.ts";

export const providers: Readonly<Record<string, Provider>> = {
	"docker:index/volume:Volume": volumeProvider,
	"docker:index/network:Network": networkProvider,
	"docker:index/remoteImage:RemoteImage": remoteImageProvider,
	"docker:index/image:Image": imageProvider,
	"docker:index/container:Container": containerProvider,
	"random:index/randomPassword:RandomPassword": randomPasswordProvider,
	"command:local:Command": commandProvider,
};
