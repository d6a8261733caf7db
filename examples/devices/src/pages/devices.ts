import type { ListedSession } from "@tenure/core";
import { type Device, deviceOf } from "../device.ts";
import type { DeviceSession } from "../device-session.ts";
import { html, type Html } from "../html.ts";
import type { Person } from "../people.ts";
import { layout } from "./layout.ts";
import { moment } from "./moment.ts";

export interface DevicesPage {
  readonly person: Person;
  /** Oldest first. */
  readonly devices: readonly ListedSession<DeviceSession>[];
  /** The id of this device's session. */
  readonly current: string | null;
  readonly note: string | undefined;
  readonly notice: string | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly place: string;
}

export function devicesPage({ person, devices, current, note, notice, now, place }: DevicesPage): Html {
  const here = devices.filter(({ id }) => id === current);
  const others = devices.filter(({ id }) => id !== current).toReversed();
  return layout(
    { title: "Your devices", page: "home", person, notice, place },
    html`<div class="heading">
        <span class="avatar ${person.id}" aria-hidden="true">${person.name[0]}</span>
        <div>
          <h1>Your devices</h1>
          <p>Signed in as <strong>${person.name}</strong>${note !== undefined && html`, note ${note}`}</p>
        </div>
      </div>
      <ul class="devices">
        ${here.map((session) => card(session, now, true))}${others.map((session) => card(session, now, false))}
      </ul>
      ${
        others.length === 0 &&
        html`<p class="hint">
          Only this device so far. Open this page in a second browser or a private window, and sign in as
          ${person.name} there.
        </p>`
      }
      <section class="all" aria-labelledby="all">
        <h2 id="all">Log out more than one</h2>
        <div class="actions">
          <form method="post" action="/log-out-others">
            <button class="quiet" ${others.length === 0 && html` disabled`}>Log out all others</button>
          </form>
          <form method="post" action="/log-out-everywhere">
            <button class="danger">Log out everywhere</button>
          </form>
        </div>
        <p class="small">
          Everywhere includes this device. A device that is logged out stays logged out, even if one of its
          requests is still running: <a href="/race">see the race</a>. Before you can log out other devices,
          you must sign in again unless you did so recently.
        </p>
      </section>`,
  );
}

function card(
  { id, data, createdAt, touchedAt }: ListedSession<DeviceSession>,
  now: number,
  isHere: boolean,
): Html {
  const device = deviceOf(data?.device?.agent);
  return html`
    <li class="device${isHere && " here"}">
      ${icon(device.kind)}
      <div class="what">
        <h2>${device.name}</h2>
        ${isHere && html`<p class="badge">This device</p>`}
        <dl>
          <div>
            <dt>First seen</dt>
            <dd>${moment(createdAt, now)}</dd>
          </div>
          <div>
            <dt>Last seen</dt>
            <dd>${isHere ? "now" : moment(touchedAt, now)}</dd>
          </div>
          ${data?.device && origin(data.device)}
        </dl>
      </div>
      <form method="post" action="/log-out">
        <input type="hidden" name="id" value="${id}" />
        <button class="quiet" aria-label="Log out ${isHere ? "this device" : device.name}">Log out</button>
      </form>
    </li>
  `;
}

/** Both come from the browser and are shown as text, never as markup. */
function origin({ agent, address }: NonNullable<DeviceSession["device"]>): Html {
  return html`<div>
      <dt>Address</dt>
      <dd>${address}</dd>
    </div>
    <div>
      <dt>User agent</dt>
      <dd>${agent}</dd>
    </div>`;
}

function icon(kind: Device["kind"]): Html {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    ${SHAPES[kind]}
  </svg>`;
}

const SHAPES: Record<Device["kind"], Html> = {
  phone: html`<rect x="7" y="2.5" width="10" height="19" rx="2.5" /><path d="M11 18.5h2" />`,
  tablet: html`<rect x="4.5" y="2.5" width="15" height="19" rx="2.5" /><path d="M11 18.5h2" />`,
  computer: html`<rect x="3" y="4" width="18" height="12" rx="2" /><path d="M8.5 20h7M12 16v4" />`,
};
