package canary

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// showDiagnosis diagnoses the backend of a URL with a password, and demands that no
// finding and no log line shows it.
func showDiagnosis(t *testing.T, at place) {
	t.Helper()
	written.take()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var all []string
	err := providers.Diagnose(ctx, short(at.url), providers.Trial{Name: "canary", Facets: fairlead.Facets()}, func(f providers.Finding) {
		all = append(all, texts(f)...)
	}, fairlead.WithLookupEnv(func(name string) (string, bool) { v, ok := at.env[name]; return v, ok }),
		fairlead.WithLogger(slog.New(slog.NewJSONHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil || len(all) == 0 {
		t.Errorf("%s: %d findings, %v", at.name, len(all), err)
	}
	for _, text := range append(all, written.take()) {
		for _, trace := range traces() {
			if i := strings.Index(text, trace); i >= 0 {
				t.Errorf("the diagnosis of %s (%s): %q in …%.300s", at.name, at.url, trace, text[max(0, i-150):])
				break
			}
		}
	}
}
