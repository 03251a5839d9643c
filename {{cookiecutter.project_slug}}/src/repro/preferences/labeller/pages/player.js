// Two clips in step: one clock for both, so that neither gets ahead of the other.

const REST = 0.5; // seconds on the last picture, before the clips begin again
const SLOW = 0.25;

export class Player {
  constructor(canvases, timeline) {
    this.canvases = canvases;
    this.timeline = timeline;
    this.clips = null;
    this.paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.slow = false;
    this.time = 0; // seconds into the clips
    this.drawn = [-1, -1];
    this.before = performance.now();
    const tick = (now) => {
      this.#advance((now - this.before) / 1000);
      this.before = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  /** Show these clips from their beginning; null: none. */
  show(clips) {
    this.clips = clips;
    this.time = 0;
    this.drawn = [-1, -1];
    if (!clips) return;
    clips.forEach((clip, side) => {
      const canvas = this.canvases[side];
      [canvas.width, canvas.height] = [clip.width, clip.height];
      canvas.classList.toggle("pixelated", clip.pixelated);
    });
    this.length = Math.max(...clips.map((clip) => clip.pictures / clip.rate));
    this.#draw();
  }

  replay() {
    if (!this.clips) return; // the key may be pressed while there is nothing to label
    this.time = 0;
    this.#draw();
  }

  #advance(seconds) {
    if (!this.clips || this.paused) return;
    this.time += Math.min(seconds, 0.25) * (this.slow ? SLOW : 1); // a page in the background does not catch up
    if (this.time >= this.length + REST) this.time = 0;
    this.#draw();
  }

  #draw() {
    this.clips.forEach((clip, side) => {
      const picture = Math.min(Math.floor(this.time * clip.rate), clip.pictures - 1);
      if (picture === this.drawn[side]) return;
      this.drawn[side] = picture;
      const [x, y] = [(picture % clip.columns) * clip.width, Math.floor(picture / clip.columns) * clip.height];
      const context = this.canvases[side].getContext("2d");
      context.drawImage(clip.sheet, x, y, clip.width, clip.height, 0, 0, clip.width, clip.height);
    });
    this.timeline.style.transform = `scaleX(${Math.min(this.time / this.length, 1)})`;
  }
}
