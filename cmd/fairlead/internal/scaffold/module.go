package scaffold

import (
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

const (
	fairlead = "fairlead.dev"
	// goVersion is the Go version that fairlead.dev needs.
	goVersion = "1.26.5"
	// replaced is the version that stands for a folder.
	replaced = "v0.0.0"
)

// Fairlead says where the new module gets fairlead.dev from.
type Fairlead struct {
	Version string // a released version; if it is empty, Folder is set
	Folder  string // a checkout that replaces it; an absolute path, or empty
}

// FindFairlead returns the version that the program was built from, replaced
// by the checkout in folder if that is not empty. It fails if there is neither.
func FindFairlead(build *debug.BuildInfo, folder string) (Fairlead, error) {
	f := Fairlead{Version: released(build)}
	if folder == "" {
		if f.Version == "" {
			return f, fmt.Errorf("this is a development build of fairlead, and no released version of %s fits it: give --fairlead FOLDER, the folder of a checkout of %s", fairlead, fairlead)
		}
		return f, nil
	}
	var err error
	if f.Folder, err = filepath.Abs(folder); err != nil {
		return f, err
	}
	b, err := os.ReadFile(filepath.Join(f.Folder, "go.mod"))
	if err != nil || modfile.ModulePath(b) != fairlead {
		return f, fmt.Errorf("--fairlead is %q, which is not a checkout of %s, since it has no go.mod of that module: give the folder of a checkout", folder, fairlead)
	}
	return f, nil
}

// released returns the version of fairlead.dev in a program, or "" if that
// version cannot be downloaded.
func released(build *debug.BuildInfo) string {
	if build == nil {
		return ""
	}
	m := build.Main
	if m.Path != fairlead || m.Replace != nil || m.Version == "(devel)" || strings.Contains(m.Version, "+dirty") {
		return ""
	}
	return m.Version
}

func (p Provider) goMod() ([]byte, error) {
	f := new(modfile.File)
	version := p.Fairlead.Version
	if version == "" {
		version = replaced
	}
	for _, err := range []error{f.AddModuleStmt(p.Module), f.AddGoStmt(goVersion), f.AddRequire(fairlead, version)} {
		if err != nil {
			return nil, err
		}
	}
	if p.Fairlead.Folder != "" {
		if err := f.AddReplace(fairlead, "", p.Fairlead.Folder, ""); err != nil {
			return nil, err
		}
	}
	return f.Format()
}

var goodName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// refused holds names that have a meaning in Go or Fairlead.
var refused = []string{"main", "init", "internal", "vendor", "plugin", "sidecar"}

// CheckName returns why a provider cannot have a name. taken are the schemes
// that exist.
func CheckName(name string, taken []string) error {
	switch {
	case !goodName.MatchString(name):
		return fmt.Errorf("the name %q cannot name a URL scheme, a Go package and a binary: use lower-case letters and digits, a letter first, for example acme", name)
	case token.IsKeyword(name) || slices.Contains(refused, name):
		return fmt.Errorf("the name %q has another meaning in Go or in Fairlead: choose another name, for example my%s", name, name)
	case slices.Contains(taken, name):
		return fmt.Errorf("a provider of Fairlead has the scheme %s:// already: choose another name, for example my%s", name, name)
	}
	return nil
}

// CheckModule returns why a module cannot have a path.
func CheckModule(path string) error {
	if err := module.CheckPath(path); err != nil {
		return fmt.Errorf("--module: %w; give the path by which others will import it, for example example.com/fairlead-acme", err)
	}
	if path == fairlead || strings.HasPrefix(path, fairlead+"/") {
		return fmt.Errorf("--module is %q, which belongs to Fairlead itself; give another path, for example example.com/fairlead-acme", path)
	}
	return nil
}
