// What the server answers, by the types of its OpenAPI description.
import type { components } from "../schema";

type Schemas = components["schemas"];
export type ProjectView = Schemas["ProjectView"];
export type PageObject = Schemas["PageObject"];
export type PageCue = Schemas["PageCue"];
export type Settings = Schemas["Settings"];
export type PageEdit = Schemas["PageEdit"];
export type ObjectEdit = Schemas["ObjectEdit"];
export type Job = Schemas["Job"];
export type MethodView = Schemas["MethodView"];
export type ResultView = Schemas["ResultView"];
export type TrackView = Schemas["TrackView"];
export type ExportRequest = Schemas["ExportRequest"];

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is unocclude app still running?");
  }
  if (answer.ok) return answer;
  let words = await answer.text();
  try {
    words = (JSON.parse(words) as { detail?: string }).detail ?? words;
  } catch {
    // plain text
  }
  throw new Refused(answer.status, words.trim());
}

function json(method: string, body?: unknown, signal?: AbortSignal): RequestInit {
  const init: RequestInit = { method };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  return init;
}

export const getProject = async () => (await (await ask("/api/project")).json()) as ProjectView;
export const getMethods = async () => (await (await ask("/api/methods")).json()) as MethodView[];
export const putObjects = async (revision: number, objects: PageObject[]) =>
  (await (await ask("/api/objects", json("PUT", { revision, objects }))).json()) as { revision: number };
export const putSettings = async (settings: Settings) => void (await ask("/api/settings", json("PUT", settings)));
export const putEdit = async (edit: PageEdit) => void (await ask("/api/edit", json("PUT", edit)));
export const startJob = async (kind: "track" | "complete") =>
  (await (await ask(`/api/jobs/${kind}`, json("POST"))).json()) as Job;
export const cancelJob = async (id: string) => void (await ask(`/api/jobs/${id}`, json("DELETE")));
export const startExport = async (asked: ExportRequest) =>
  (await (await ask("/api/exports", json("POST", asked))).json()) as Job;
export const segment = async (frame: number, object: PageObject, signal: AbortSignal) =>
  (await ask("/api/segment", json("POST", { frame, object }, signal))).blob();
export const storeMask = async (mask: Blob) =>
  ((await (await ask("/api/masks", { method: "POST", body: mask })).json()) as { mask: string }).mask;
export const uploadClip = async (file: File) =>
  void (await ask(`/api/clip?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file }));

export const address = {
  frame: (clip: string, frame: number, side: number | null) =>
    `/api/clips/${clip}/frames/${frame}.webp` + (side ? `?side=${side}` : ""),
  track: (object: number, version: string, frame: number) => `/api/tracks/${object}/${version}/${frame}.png`,
  picture: (run: string, object: number, kind: string, frame: number) =>
    `/api/results/${run}/objects/${object}/${kind}/${frame}.png`,
  hypothesis: (run: string, object: number, sample: number, frame: number) =>
    `/api/results/${run}/objects/${object}/hypotheses/${sample}/${frame}.png`,
  plate: (run: string, frame: number) => `/api/results/${run}/plate/${frame}.webp`,
  composed: (run: string, edit: string, frame: number) => `/api/results/${run}/composed/${edit}/${frame}.webp`,
  exported: (job: string) => `/api/exports/${job}`,
};
