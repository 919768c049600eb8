// What the page knows and does. The server has the truth; this follows it and saves changes at once.
import * as api from "./api";
import type { ExportRequest, Job, MethodView, ObjectEdit, PageEdit, PageObject, ProjectView, ResultView, Settings } from "./api";
import { cueAt, newObject } from "./cues";
import { History } from "./history";
import { picture } from "./pictures";
import { clampFrame } from "./time";

export type Tool = "point" | "brush" | "eraser";
export type View = "mark" | "source" | "visible" | "amodal" | "rgba" | "provenance" | "hypotheses" | "layers";

class State {
  view = $state<ProjectView | null>(null);
  methods = $state<MethodView[]>([]);
  objects = $state<PageObject[]>([]);
  selected = $state<number | null>(null);
  frame = $state(0);
  tool = $state<Tool>("point");
  brush = $state(12);
  shown = $state<View>("mark");
  compare = $state(false);
  split = $state(0.5);
  sample = $state(1);
  playing = $state(false);
  connected = $state(true);
  problem = $state("");
  uploading = $state("");
  canUndo = $state(false);
  canRedo = $state(false);
  /** Changes when a mask of a frame may have changed. */
  maskTick = $state(0);
  /** Versions of masks while they are tracked, by object. */
  live = $state<Record<number, string>>({});
  inPoint = $state(0);
  outPoint = $state(0);
  editKey = $state("");

  private history = new History<PageObject[]>();
  private revision = 0;
  private saving: Promise<void> = Promise.resolve();
  private dirty = 0;
  private segments = new Map<string, Promise<ImageBitmap | null>>();
  private aborts = new Map<number, AbortController>();
  private refreshing = 0;

  get clip() {
    return this.view?.clip ?? null;
  }
  get count(): number {
    return this.clip?.frames ?? 0;
  }
  get current(): PageObject | null {
    return this.objects.find((item) => item.id === this.selected) ?? null;
  }
  get jobs(): Job[] {
    return this.view?.jobs ?? [];
  }
  get active(): Job | null {
    return this.jobs.find((job) => job.state === "running") ?? this.jobs.find((job) => job.state === "queued") ?? null;
  }
  /** The finished result. */
  get result(): ResultView | null {
    return this.view?.results.find((result) => result.finished) ?? null;
  }
  /** The result to look at: the one being written, else the finished one. */
  get watched(): ResultView | null {
    const unfinished = this.view?.results.find((result) => !result.finished);
    return unfinished && this.active?.kind === "complete" ? unfinished : (this.result ?? unfinished ?? null);
  }
  get edit(): PageEdit {
    return this.view?.edit ?? { background: "plate", objects: {} };
  }

  async start(): Promise<void> {
    await this.refresh();
    if (this.count) this.outPoint = this.count;
    this.selected = this.objects[0]?.id ?? null;
    if (this.result) this.shown = "layers";
    this.listen();
    this.methods = (await this.guarded(api.getMethods())) ?? [];
  }

  /** Take over what the server has. */
  async refresh(): Promise<void> {
    const turn = ++this.refreshing;
    const view = await this.guarded(api.getProject());
    if (!view || turn !== this.refreshing) return;
    const fresh = !this.view?.clip && view.clip;
    this.view = view;
    this.editKey = view.edit_key;
    if (!this.dirty) {
      this.revision = view.revision;
      if (JSON.stringify(view.objects) !== JSON.stringify(this.objects)) this.objects = view.objects;
    }
    if (fresh) {
      this.outPoint = view.clip!.frames;
      this.frame = 0;
    }
    if (this.selected !== null && !this.current) this.selected = this.objects[0]?.id ?? null;
    this.maskTick++;
  }

  private listen(): void {
    const source = new EventSource("/api/events");
    source.onopen = () => {
      if (!this.connected) void this.refresh();
      this.connected = true;
    };
    source.onerror = () => {
      this.connected = false;
      if (source.readyState === EventSource.CLOSED) window.setTimeout(() => this.listen(), 2000);
    };
    const soon = calmly(() => void this.refresh(), 150);
    source.addEventListener("reset", soon);
    source.addEventListener("project", (event) => {
      const { revision } = JSON.parse(event.data) as { revision: number };
      if (revision > this.revision) soon();
    });
    source.addEventListener("job", (event) => {
      const job = JSON.parse(event.data) as Job;
      if (!this.view) return;
      const at = this.view.jobs.findIndex((known) => known.id === job.id);
      const before = at >= 0 ? this.view.jobs[at] : undefined;
      if (at >= 0) this.view.jobs[at] = job;
      else this.view.jobs.push(job);
      if (job.state !== before?.state || job.kind === "complete") soon();
      if (job.state === "done" && before && before.state !== "done" && job.kind === "complete") this.shown = "layers";
      if (job.state === "failed" && before?.state !== "failed") this.problem = job.message;
    });
    source.addEventListener("mask", (event) => {
      const { object, frame, version } = JSON.parse(event.data) as { object: number; frame: number; version: string };
      this.live[object] = version;
      if (frame === this.frame) this.maskTick++;
    });
    source.addEventListener("tracked", (event) => {
      const { object } = JSON.parse(event.data) as { object: number };
      delete this.live[object];
      soon();
    });
    source.addEventListener("run", soon);
  }

  /** Await a request; what goes wrong is shown. */
  async guarded<T>(request: Promise<T>): Promise<T | null> {
    try {
      const answer = await request;
      return answer;
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return null;
      this.problem = error instanceof Error ? error.message : String(error);
      return null;
    }
  }

  // Objects ------------------------------------------------------------------------------------------------------

  change(objects: PageObject[], remember = true): void {
    if (remember) this.history.push($state.snapshot(this.objects) as PageObject[]);
    this.objects = objects;
    this.marks();
    this.save();
  }

  changeObject(changed: PageObject, remember = true): void {
    this.change(
      this.objects.map((item) => (item.id === changed.id ? changed : item)),
      remember,
    );
  }

  undo(): void {
    this.restore(this.history.undo($state.snapshot(this.objects) as PageObject[]));
  }

  redo(): void {
    this.restore(this.history.redo($state.snapshot(this.objects) as PageObject[]));
  }

  private restore(objects: PageObject[] | undefined): void {
    if (!objects) return;
    this.objects = objects;
    if (!this.current) this.selected = objects[0]?.id ?? null;
    this.marks();
    this.save();
  }

  private marks(): void {
    this.canUndo = this.history.canUndo;
    this.canRedo = this.history.canRedo;
    this.maskTick++;
  }

  add(): PageObject {
    const made = newObject(this.objects);
    this.change([...this.objects, made]);
    this.selected = made.id;
    return made;
  }

  remove(id: number): void {
    const left = this.objects
      .filter((item) => item.id !== id)
      .map((item) => ({ ...item, in_front_of: item.in_front_of?.filter((other) => other !== id) ?? [] }));
    this.change(left);
    if (this.selected === id) this.selected = left[0]?.id ?? null;
  }

  private save(): void {
    this.dirty++;
    const objects = $state.snapshot(this.objects) as PageObject[];
    this.saving = this.saving.then(async () => {
      try {
        if (this.dirty > 1) return; // a newer one follows
        this.revision = (await api.putObjects(this.revision, objects)).revision;
      } catch (error) {
        this.problem = error instanceof Error ? error.message : String(error);
        if (error instanceof api.Refused && error.status === 409) {
          this.history.clear();
          this.dirty = 1;
          queueMicrotask(() => void this.refresh());
        }
      } finally {
        this.dirty--;
      }
    });
  }

  /** Until all changes are saved. */
  async saved(): Promise<void> {
    await this.saving;
  }

  // Masks --------------------------------------------------------------------------------------------------------

  track(id: number) {
    return this.view?.tracks.find((track) => track.object === id) ?? null;
  }

  /** The mask of an object in a frame: from its cues there, else as tracked. */
  mask(item: PageObject, frame: number): Promise<ImageBitmap | null> | null {
    const cue = cueAt(item, frame);
    const track = this.track(item.id);
    const live = this.live[item.id];
    if (cue && !live && !(track?.current && this.isSaved(item))) return this.segmented(item, frame);
    if (live) return this.fetched(api.address.track(item.id, live, frame), track ? api.address.track(item.id, track.version, frame) : null);
    return track ? this.fetched(api.address.track(item.id, track.version, frame), null) : null;
  }

  private isSaved(item: PageObject): boolean {
    const known = this.view?.objects.find((other) => other.id === item.id);
    return JSON.stringify(known?.cues) === JSON.stringify(item.cues);
  }

  private async fetched(address: string, other: string | null): Promise<ImageBitmap | null> {
    return (await picture(address)) ?? (other ? picture(other) : null);
  }

  private segmented(item: PageObject, frame: number): Promise<ImageBitmap | null> {
    const key = `${item.id}:${frame}:${JSON.stringify(item.cues)}:${this.track(item.id)?.version ?? ""}`;
    const known = this.segments.get(key);
    if (known) return known;
    this.aborts.get(item.id)?.abort();
    const abort = new AbortController();
    this.aborts.set(item.id, abort);
    const asked = (async () => {
      const blob = await this.guarded(api.segment(frame, $state.snapshot(item) as PageObject, abort.signal));
      if (!blob) {
        this.segments.delete(key);
        return null;
      }
      return createImageBitmap(blob);
    })();
    this.segments.set(key, asked);
    if (this.segments.size > 60) this.segments.delete(this.segments.keys().next().value!);
    return asked;
  }

  // Work ---------------------------------------------------------------------------------------------------------

  async run(kind: "track" | "complete"): Promise<void> {
    this.problem = "";
    await this.saved();
    const job = await this.guarded(api.startJob(kind));
    if (!job) return;
    if (kind === "complete") this.shown = "rgba";
    await this.refresh();
  }

  async cancel(id: string): Promise<void> {
    await this.guarded(api.cancelJob(id));
  }

  async export(asked: ExportRequest): Promise<void> {
    this.problem = "";
    await this.guarded(api.startExport(asked));
    await this.refresh();
  }

  async setSettings(settings: Settings): Promise<void> {
    if (this.view) this.view.settings = settings;
    await this.guarded(api.putSettings(settings));
    await this.refresh();
  }

  async setEdit(edit: PageEdit): Promise<void> {
    if (this.view) this.view.edit = edit;
    await this.guarded(api.putEdit(edit));
    await this.refresh();
  }

  editOf(id: number): Required<ObjectEdit> {
    const given = this.edit.objects?.[id] ?? {};
    return { visible: true, move: [0, 0], scale: 1, opacity: 1, shift: 0, z: null, ...given } as Required<ObjectEdit>;
  }

  async editObject(id: number, change: Partial<ObjectEdit>): Promise<void> {
    const objects = { ...(this.edit.objects ?? {}), [id]: { ...this.editOf(id), ...change } };
    await this.setEdit({ background: this.edit.background ?? "plate", objects });
  }

  async upload(file: File): Promise<void> {
    this.problem = "";
    this.uploading = file.name;
    await this.guarded(api.uploadClip(file));
    this.uploading = "";
    await this.refresh();
  }

  // Time ---------------------------------------------------------------------------------------------------------

  go(frame: number): void {
    this.frame = clampFrame(frame, this.count);
  }
}

/** `act` at most once in a while, however often it is asked for, and after the last time. */
function calmly(act: () => void, wait: number): () => void {
  let timer = 0;
  return () => {
    timer ||= window.setTimeout(() => {
      timer = 0;
      act();
    }, wait);
  };
}

export const state_ = new State();
