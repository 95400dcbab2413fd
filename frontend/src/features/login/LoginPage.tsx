import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Check, Field } from "../../ui/Field";
import { Tabs } from "../../ui/Tabs";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";

const WAYS = ["key", "password"] as const;
type Way = (typeof WAYS)[number];

/** Only places of this page are gone back to. */
function placeAfter(to: string | undefined): string {
  return to?.startsWith("/") === true && !to.startsWith("//") ? to : "/";
}

export function LoginPage() {
  const words = useWords();
  const { client, credentials } = useServices();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const { to } = useSearch({ from: "/login" });
  const [way, setWay] = useState<Way>("key");
  const [key, setKey] = useState("");
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [remember, setRemember] = useState(false);
  const enter = useMutation({
    mutationFn: async () => {
      if (way === "key") credentials.set(key.trim(), remember);
      // The cookie that comes back is out of reach of this page's own code.
      else {
        credentials.clear();
        await client.post("/auth/login", { body: { username: user.trim(), password, cookie: true } });
      }
      await client.get("/api/me", {});
    },
    onSuccess: () => {
      queryClient.clear();
      void navigate({ to: placeAfter(to), replace: true });
    },
    onError: () => credentials.clear(),
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    enter.mutate();
  }
  const ready = way === "key" ? key.trim() !== "" : user.trim() !== "" && password !== "";
  const refused = enter.error instanceof ApiError && enter.error.status === 401;
  return (
    <div className="page login">
      <section className="panel" aria-label={words.login.title}>
        <h2>{words.login.why}</h2>
        <Tabs
          label={words.login.how}
          current={way}
          tabs={WAYS.map((id) => ({
            id,
            word: id === "key" ? words.login.withKey : words.login.withPassword,
          }))}
          onPick={(id) => setWay(id)}
        >
          <form className="form" onSubmit={submit}>
            {way === "key" ? (
              <>
                <Field
                  label={words.login.key}
                  kind="password"
                  value={key}
                  autoComplete="off"
                  onText={setKey}
                />
                <Check label={words.login.remember} checked={remember} onCheck={setRemember} />
              </>
            ) : (
              <>
                <Field label={words.login.user} value={user} autoComplete="username" onText={setUser} />
                <Field
                  label={words.login.password}
                  kind="password"
                  value={password}
                  autoComplete="current-password"
                  onText={setPassword}
                />
              </>
            )}
            {enter.error !== null && (
              <Banner tone="danger">{refused ? words.login.wrong : messageOf(enter.error)}</Banner>
            )}
            <Button type="submit" look={["primary"]} disabled={!ready || enter.isPending}>
              {words.login.go}
            </Button>
          </form>
        </Tabs>
      </section>
    </div>
  );
}
