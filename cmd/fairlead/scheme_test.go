package main

import (
	"go/build"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/internal/opening"
	"fairlead.dev/providers"
)

// TestUnlinkedSchemesNameTheImport: for each scheme of a provider of this module, the error of
// a program that does not link it names the package that registers it.
func TestUnlinkedSchemesNameTheImport(t *testing.T) {
	found := 0
	for _, s := range providers.Schemes() {
		if strings.HasPrefix(s.Name, "sidecar+") || s.Name == "broken" {
			continue
		}
		_, path, ok := strings.Cut(opening.SchemeRemedy(s.Name), `to link its provider, import _ "fairlead.dev/`)
		if !ok {
			t.Errorf("the scheme %s: the error does not name its package: %s", s.Name, opening.SchemeRemedy(s.Name))
			continue
		}
		found++
		dir := filepath.Join("..", "..", filepath.FromSlash(strings.TrimSuffix(path, `"`)))
		if _, err := build.ImportDir(dir, 0); err != nil {
			t.Errorf("the scheme %s: %v", s.Name, err)
		}
	}
	if found != 11 {
		t.Errorf("%d schemes, want 11: correct the list of package opening and this test", found)
	}
}
