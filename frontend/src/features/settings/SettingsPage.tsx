import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { LANGUAGE_NAMES } from "../../core/i18n/languages";
import { CONTRASTS, DENSITIES, LANGUAGES, THEMES } from "../../core/prefs";
import { Button } from "../../ui/Button";
import { Check, Choice } from "../../ui/Field";
import { Figures } from "../../ui/Figures";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { usePrefs, useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";
import { AccessKeys } from "./AccessKeys";
import { People } from "./People";
import { ProviderKeys } from "./ProviderKeys";

const SECTIONS = ["appearance", "keys", "access", "system"] as const;

export function SettingsPage() {
  const words = useWords();
  const { section } = useParams({ from: "/settings/$section" });
  const current = SECTIONS.find((one) => one === section) ?? "appearance";
  return (
    <div className="page">
      <nav className="sections" aria-label={words.settings.sections}>
        {SECTIONS.map((one) => (
          <Link key={one} to="/settings/$section" params={{ section: one }} className="section-link">
            {one === "keys" ? words.providerKeys.title : words.settings[one]}
          </Link>
        ))}
      </nav>
      {current === "appearance" && <Appearance />}
      {current === "keys" && <ProviderKeys />}
      {current === "access" && <Access />}
      {current === "system" && <System />}
    </div>
  );
}

function Appearance() {
  const words = useWords();
  const { prefs } = useServices();
  const chosen = usePrefs();
  const { settings } = words;
  return (
    <section className="panel form narrow" aria-label={settings.appearance}>
      <h2>{settings.appearance}</h2>
      <Choice
        label={settings.theme}
        value={chosen.theme}
        choices={THEMES.map((id) => ({ id, word: settings.themes[id] }))}
        onPick={(theme) => prefs.change({ theme })}
      />
      <Choice
        label={settings.contrast}
        value={chosen.contrast}
        choices={CONTRASTS.map((id) => ({ id, word: settings.contrasts[id] }))}
        onPick={(contrast) => prefs.change({ contrast })}
      />
      <Choice
        label={settings.density}
        value={chosen.density}
        choices={DENSITIES.map((id) => ({ id, word: settings.densities[id] }))}
        onPick={(density) => prefs.change({ density })}
      />
      <Choice
        label={settings.language}
        value={chosen.language}
        choices={LANGUAGES.map((id) => ({ id, word: LANGUAGE_NAMES[id] }))}
        onPick={(language) => prefs.change({ language })}
      />
      <Check
        label={settings.singleKeys}
        checked={chosen.singleKeys}
        onCheck={(singleKeys) => prefs.change({ singleKeys })}
      />
    </section>
  );
}

function Access() {
  const words = useWords();
  const { client, credentials } = useServices();
  const navigate = useNavigate();
  const me = useQuery(queries.me(client));
  async function logOut(): Promise<void> {
    await client.post("/auth/logout", {}).catch(() => undefined);
    credentials.clear();
    void navigate({ to: "/login" });
  }
  return (
    <Loaded query={me} lines={3}>
      {({ name, kind, group_id, permissions }) => (
        <>
          <section className="panel" aria-label={words.settings.you}>
            <h2>
              {words.settings.you} {name}
            </h2>
            <Figures
              figures={[
                { name: words.settings.group, value: group_id },
                { name: words.settings.permissions, value: permissions.join(", ") },
              ]}
            />
            {kind !== "anonymous" && <Button onClick={() => void logOut()}>{words.settings.logOut}</Button>}
          </section>
          {permissions.includes("admin") ? (
            <>
              <AccessKeys />
              <People />
            </>
          ) : (
            <p className="quiet">{words.settings.noAccess}</p>
          )}
        </>
      )}
    </Loaded>
  );
}

function System() {
  const words = useWords();
  const { client } = useServices();
  const info = useQuery(queries.info(client));
  return (
    <Loaded query={info} lines={5}>
      {(value) => (
        <section className="panel" aria-label={words.settings.system}>
          <h2>{words.settings.system}</h2>
          <Figures
            figures={[
              { name: words.settings.version, value: value.version },
              { name: words.models.store, value: value.store },
              { name: words.settings.worker, value: value.hint_source },
              {
                name: words.settings.features,
                value: Object.entries(value.features)
                  .filter(([, on]) => on === true)
                  .map(([name]) => name)
                  .join(", "),
              },
            ]}
          />
          {value.docs.swagger !== null && (
            <p>
              <a href={value.docs.swagger}>{words.settings.consoles}</a>
            </p>
          )}
        </section>
      )}
    </Loaded>
  );
}
