package scaffold

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

var acme = Provider{Name: "acme", Module: "example.com/acme", Fairlead: Fairlead{Version: "v1.2.3"}}

// TestGoVersion: a module cannot name an older Go version than the modules that it
// requires.
func TestGoVersion(t *testing.T) {
	b, err := os.ReadFile("../../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse("go.mod", b, nil)
	if err != nil || f.Go.Version != goVersion {
		t.Errorf("fairlead.dev needs Go %s (%v), the generated modules name %s", f.Go.Version, err, goVersion)
	}
}

func TestFairleadVersion(t *testing.T) {
	build := func(path, version string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: path, Version: version}}
	}
	for _, c := range []struct {
		build *debug.BuildInfo
		want  string // empty: none
	}{
		{build(fairlead, "v1.2.3"), "v1.2.3"},
		{build(fairlead, "v0.0.0-20260102030405-0123456789ab"), "v0.0.0-20260102030405-0123456789ab"},
		{build(fairlead, "v1.2.3+dirty"), ""},
		{build(fairlead, "(devel)"), ""},
		{build(fairlead, ""), ""},
		{build("example.com/other", "v1.2.3"), ""},
		{&debug.BuildInfo{Main: debug.Module{Path: fairlead, Version: "v1.2.3", Replace: &debug.Module{}}}, ""},
		{nil, ""},
	} {
		got, err := FindFairlead(c.build, "")
		if got.Version != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: %+v, %v; want %q", c.build, got, err, c.want)
		}
	}
}

func TestGoMod(t *testing.T) {
	for _, c := range []struct{ fairlead, want, without string }{
		{"", "require fairlead.dev v1.2.3", "replace"},
		{"/a b/fairlead", `replace fairlead.dev => "/a b/fairlead"`, "v0.0.0"},
	} {
		p := acme
		p.Fairlead.Folder = c.fairlead
		b, err := p.goMod()
		if err != nil || !strings.Contains(string(b), c.want) || strings.Contains(string(b), c.without) {
			t.Errorf("folder %q: %v\n%s", c.fairlead, err, b)
		}
	}
}

func TestWriteLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := acme.Write(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Write into a folder that exists: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
}

// TestNamesInFiles: no file contains a placeholder.
func TestNamesInFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	p := acme
	p.Name, p.Module = "q7", "example.com/other"
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, wrong := range []string{"[[", "acme", "<no value>"} {
			if strings.Contains(string(b), wrong) {
				t.Errorf("%s has %q", path, wrong)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
