package plugins

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/process"
)

// PathEnv is the environment variable that lists the plugin folders, in the form
// of PATH.
const PathEnv = "FAIRLEAD_PLUGIN_PATH"

// Folders returns the plugin folders, the most important first. They are the
// folders in the environment variable FAIRLEAD_PLUGIN_PATH. Without it, they are
// fairlead/plugins below XDG_DATA_HOME (by default ~/.local/share), and
// /usr/local/lib/fairlead/plugins. The folders need not exist.
func Folders() []string {
	if list := os.Getenv(PathEnv); list != "" {
		return slices.DeleteFunc(filepath.SplitList(list), func(d string) bool { return d == "" })
	}
	const system = "/usr/local/lib/fairlead/plugins"
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) {
		home, err := os.UserHomeDir()
		if err != nil {
			return []string{system}
		}
		data = filepath.Join(home, ".local", "share")
	}
	return []string{filepath.Join(data, "fairlead", "plugins"), system}
}

// Installed is a plugin that was found.
type Installed struct {
	Manifest
	Dir  string // the plugin folder, absolute
	Path string // of the binary, absolute
	// Problem says why the plugin cannot be used, as far as the manifest shows.
	// See Verify for the other checks.
	Problem error
}

// Find lists the plugins in the folders. A plugin with an invalid manifest is
// listed with a Problem, under the name in the manifest's file name. A plugin that
// is hidden by one of the same name in an earlier folder also has a Problem. A
// folder that does not exist is skipped. A folder that cannot be read is an error.
func Find(folders []string) ([]Installed, error) {
	var found []Installed
	hiding := map[string]string{}
	for _, dir := range folders {
		dir, err := filepath.Abs(dir) // exec would look up a bare file name in PATH
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Invalid, "the plugin folder: %w", err)
		}
		manifests, err := manifestsIn(dir)
		if err != nil {
			return nil, err
		}
		for _, file := range manifests {
			p := loadManifest(dir, file)
			if other, hidden := hiding[p.Name]; hidden && other != dir {
				p.Problem = fairlead.Errorf(fairlead.Invalid, "the plugin %s in %s hides it", p.Name, other)
			} else {
				hiding[p.Name] = dir
			}
			found = append(found, p)
		}
	}
	return found, nil
}

func manifestsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fairlead.Errorf(fairlead.PermissionDenied, "reading a plugin folder: %w", err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && filepath.Ext(e.Name()) == manifestExt {
			files = append(files, e.Name())
		}
	}
	return files, nil
}

func loadManifest(dir, file string) Installed {
	path := filepath.Join(dir, file)
	name := strings.TrimSuffix(strings.TrimPrefix(file, prefix), manifestExt)
	m, err := readManifest(path)
	switch {
	case err != nil:
	case m.Name != name:
		err = fmt.Errorf("field \"name\" is %q; according to the file name it must be %q", m.Name, name)
	case m.SHA256 == "":
		err = errors.New("field \"sha256\" is missing; install the plugin with \"fairlead plugin install\", or enter the output of sha256sum")
	case !slices.Contains(m.Protocols, process.Version):
		err = fmt.Errorf("field \"protocols\" is %v; this host speaks version %d: use another version of the plugin", m.Protocols, process.Version)
	}
	p := Installed{Manifest: m, Dir: dir, Path: filepath.Join(dir, m.Command)}
	if err != nil {
		p.Name = name
		p.Problem = nameFile(path, err)
	}
	return p
}

// nameFile adds the file's name to an error that does not have it.
func nameFile(path string, err error) error {
	var e *fairlead.Error
	if errors.As(err, &e) {
		return err
	}
	return fairlead.Errorf(fairlead.Invalid, "%s: %w", path, err)
}

func readManifest(path string) (Manifest, error) {
	f, err := openTrusted(path)
	if err != nil {
		return Manifest{}, fairlead.Errorf(fairlead.PermissionDenied, "the manifest is refused: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, err
	}
	if len(data) > maxManifest {
		return Manifest{}, fmt.Errorf("the manifest is longer than %d bytes", maxManifest)
	}
	return ParseManifest(path, data)
}

// findScheme returns the plugin for a scheme: the plugin of that name if it offers
// the scheme, and otherwise the first one that does.
func findScheme(folders []string, scheme string) (Installed, bool, error) {
	all, err := Find(folders)
	if err != nil {
		return Installed{}, false, err
	}
	for _, p := range all {
		_, offers := p.Scheme(scheme)
		if p.Name == scheme && (offers || p.Problem != nil) {
			return p, true, p.Problem
		}
	}
	for _, p := range all {
		if _, offers := p.Scheme(scheme); offers && p.Problem == nil {
			return p, true, nil
		}
	}
	return Installed{}, false, nil
}

// findName returns the plugin with a name.
func findName(folders []string, name string) (Installed, error) {
	all, err := Find(folders)
	if err != nil {
		return Installed{}, err
	}
	for _, p := range all {
		if p.Name == name {
			return p, p.Problem
		}
	}
	return Installed{}, notFound(folders, name)
}

func notFound(folders []string, name string) error {
	name = strings.TrimPrefix(name, schemePrefix)
	return fairlead.Errorf(fairlead.Invalid, "there is no plugin for %q in %s; install one with \"fairlead plugin install\", or set %s",
		name, strings.Join(folders, ", "), PathEnv)
}
