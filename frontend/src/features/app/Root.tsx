import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect, useState, useSyncExternalStore } from "react";
import { en } from "../../core/i18n/en";
import { loadWords, type Words } from "../../core/i18n/words";
import { WordsProvider } from "../../ui/words";
import type { makeRouter } from "./router";
import { type Services, ServicesProvider } from "./services";

interface RootProps {
  readonly services: Services;
  readonly queryClient: QueryClient;
  readonly router: ReturnType<typeof makeRouter>;
}

export function Root({ services, queryClient, router }: RootProps) {
  const { prefs } = services;
  const { language, theme, contrast, density } = useSyncExternalStore(prefs.subscribe, prefs.snapshot);
  const [words, setWords] = useState<Words>(en);

  useEffect(() => {
    let stale = false;
    void loadWords(language).then((loaded) => {
      if (stale) return;
      setWords(loaded);
      document.documentElement.lang = language;
    });
    return () => {
      stale = true;
    };
  }, [language]);

  useEffect(() => {
    const { dataset } = document.documentElement;
    dataset.theme = theme;
    dataset.contrast = contrast;
    dataset.density = density;
  }, [theme, contrast, density]);

  return (
    <ServicesProvider value={services}>
      <WordsProvider value={words}>
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </WordsProvider>
    </ServicesProvider>
  );
}
