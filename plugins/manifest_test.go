package plugins_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fairlead.dev"
	"fairlead.dev/plugins"
	"fairlead.dev/plugins/internal/process"
)

// sum returns the checksum of a file.
func sum(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestParseManifest(t *testing.T) {
	const ok = `{"name":"a","command":"fairlead-a","protocols":[1],"schemes":[{"name":"a+b","settings":[{"name":"n","kind":"int","default":"3","min":1,"max":9}]}]}`
	m, err := plugins.ParseManifest("f.json", []byte(ok))
	if err != nil {
		t.Fatal(err)
	}
	s, found := m.Scheme("a+b")
	if !found {
		t.Fatal("the manifest has no such scheme")
	}
	if set, err := s.Parse("a+b://x?n=4"); err != nil || set.Int("n") != 4 {
		t.Errorf("got %v, %v", set, err)
	}
	if _, err := s.Parse("a+b://x?n=10"); err == nil {
		t.Error("a setting out of range is accepted")
	}
	for old, c := range map[string]struct{ new, want string }{
		`{"name":"a"`:          {`{"nam":"a"`, `the field "nam" is unknown`},
		`"name":"a",`:          {`"name":"../a",`, `field "name" is "../a"`},
		`"fairlead-a"`:         {`"../fairlead-a"`, `field "command" is`},
		`[1]`:                  {`["1"]`, `field "protocols" is a JSON string`},
		`"protocols":[1],`:     {``, `field "protocols" is empty`},
		`"command":`:           {`"sha256":"ABC","command":`, `field "sha256" is "ABC"`},
		`,"schemes":[{`:        {`,"env":["A=B"],"schemes":[{`, `field "env" has "A=B"`},
		`"a+b"`:                {`"A"`, `field "schemes.name" is "A"`},
		`[{"name":"a+b"`:       {`[{"name":"a+b"},{"name":"a+b"`, `field "schemes" has "a+b" twice`},
		`"kind":"int"`:         {`"kind":"number"`, `setting "n": field "kind" is "number"; accepted: [string`},
		`"int",`:               {`"enum",`, `field "values" is empty`},
		`"default":"3"`:        {`"default":"0"`, `setting "n": field "default"`},
		`"max":9`:              {`"max":-1`, `field "max" is -1, which is less than min, 1`},
		`{"name":"n"`:          {`{"name":""`, `field "settings.name" is empty`},
		`"max":9}]}]}`:         {`"max":9}]}]}{}`, `followed by more data`},
		`"min":1,"max":9}]}]}`: {`"min":1`, `the file ends before`},
		`"name":"n",`:          {"\n\"name\" \"n\",", `line 2 is not valid JSON`},
	} {
		_, err := plugins.ParseManifest("f.json", []byte(strings.Replace(ok, old, c.new, 1)))
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "f.json: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want Invalid with %q", c.new, err, c.want)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"name":"a","command":"fairlead-a","sha256":"","protocols":[1],"env":["A"],"schemes":[{"name":"a","help":"h","settings":[{"name":"n","kind":"enum","values":["a"],"default":"a"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := plugins.ParseManifest("f", data)
		if err != nil {
			if !errors.Is(err, fairlead.Invalid) {
				t.Errorf("got %v, want Invalid", err)
			}
			return
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := plugins.ParseManifest("f", b)
		if err != nil {
			t.Fatalf("an accepted manifest is refused when it is written again: %v", err)
		}
		if b2, _ := json.Marshal(again); string(b) != string(b2) {
			t.Errorf("got %s, want %s", b2, b)
		}
	})
}

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "plugins")
	p, err := plugins.Install(t.Context(), binary(t, "memory"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	if _, err := plugins.Install(t.Context(), binary(t, "memory"), dir); err != nil {
		t.Fatalf("installing again: %v", err)
	}
	found, err := plugins.Find([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !reflect.DeepEqual(found[0], p) {
		t.Errorf("found %+v, want %+v", found, p)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the folder has %v, want the binary and the manifest", entries)
	}
	for _, bad := range []string{"/bin/true", "/bin/false", "/no/such/file", t.TempDir()} {
		if _, err := plugins.Install(t.Context(), bad, dir); !errors.Is(err, fairlead.Invalid) {
			t.Errorf("%s: got %v, want Invalid", bad, err)
		}
	}
}

func TestFind(t *testing.T) {
	first, second := installed(t, "memory"), installed(t, "memory", "redis")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(first, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("fairlead-bad.json", "{")
	write("fairlead-other.json", `{"name":"a","command":"a","protocols":[1],"sha256":"`+strings.Repeat("0", 64)+`","schemes":[{"name":"a"}]}`)
	write("fairlead-nosum.json", `{"name":"nosum","command":"a","protocols":[1],"schemes":[{"name":"a"}]}`)
	write("fairlead-future.json", `{"name":"future","command":"a","protocols":[7],"sha256":"`+strings.Repeat("0", 64)+`","schemes":[{"name":"a"}]}`)
	write("fairlead-long.json", strings.Repeat(" ", 2<<20))
	write("unrelated.json", "")
	found, err := plugins.Find([]string{filepath.Join(first, "missing"), first, second})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range found {
		text := p.Name
		if p.Problem != nil {
			text += ": " + p.Problem.Error()
		}
		got = append(got, text)
	}
	want := []string{
		"bad: ", "future: ", "long: ", "memory", "nosum: ", "other: ", "memory: ", "redis",
	}
	if !slices.EqualFunc(got, want, func(g, w string) bool { return strings.HasPrefix(g, w) && (g == w || strings.HasSuffix(w, ": ")) }) {
		t.Errorf("found %q, want %q", got, want)
	}
	for i, w := range map[int]string{1: "this host speaks version 1", 4: `field "sha256" is missing`, 5: `it must be "other"`, 6: "hides it"} {
		if !strings.Contains(got[i], w) {
			t.Errorf("got %q, want it to say %q", got[i], w)
		}
	}
}

func TestFolders(t *testing.T) {
	t.Setenv(plugins.PathEnv, "/a::/b")
	if got := plugins.Folders(); !slices.Equal(got, []string{"/a", "/b"}) {
		t.Errorf("got %q", got)
	}
	t.Setenv(plugins.PathEnv, "")
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := plugins.Folders(); !slices.Equal(got, []string{"/data/fairlead/plugins", "/usr/local/lib/fairlead/plugins"}) {
		t.Errorf("got %q", got)
	}
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("HOME", "/home/x")
	if got := plugins.Folders(); got[0] != "/home/x/.local/share/fairlead/plugins" {
		t.Errorf("got %q", got)
	}
}

func TestVerify(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "elsewhere")
	for name, c := range map[string]struct {
		change func(dir, binary, manifest string) error
		want   string
	}{
		"as installed": {func(string, string, string) error { return nil }, ""},
		"other bytes": {func(_, b, _ string) error {
			return os.WriteFile(b, []byte("#!/bin/sh\n"), 0o755)
		}, "the checksum of"},
		"a link to outside": {func(_, b, _ string) error {
			return errors.Join(os.Rename(b, outside), os.Symlink(outside, b))
		}, "outside the plugin folder"},
		"a link within": {func(dir, b, _ string) error {
			return errors.Join(os.Rename(b, filepath.Join(dir, "real")), os.Symlink("real", b))
		}, ""},
		"a manifest that is a link to outside": {func(_, _, m string) error {
			return errors.Join(os.Rename(m, outside+".json"), os.Symlink(outside+".json", m))
		}, "outside the plugin folder"},
		"a binary that every user may write":   {func(_, b, _ string) error { return os.Chmod(b, 0o757) }, "every user may write"},
		"a manifest that every user may write": {func(_, _, m string) error { return os.Chmod(m, 0o646) }, "every user may write"},
		"a folder that every user may write":   {func(d, _, _ string) error { return os.Chmod(d, 0o757) }, "every user may write"},
		"a sticky folder":                      {func(d, _, _ string) error { return os.Chmod(d, 0o777|os.ModeSticky) }, "every user may write"},
		"a folder above":                       {func(d, _, _ string) error { return os.Chmod(filepath.Dir(d), 0o777) }, "every user may write"},
		"somebody else's":                      {func(_, b, _ string) error { return os.Chown(b, 1234, -1) }, "belongs to user 1234"},
		"not executable":                       {func(_, b, _ string) error { return os.Chmod(b, 0o644) }, "not executable"},
		"a folder above of somebody else":      {func(d, _, _ string) error { return os.Chown(filepath.Dir(d), 1234, -1) }, "belongs to user 1234"},
		"a folder far above of somebody else":  {func(d, _, _ string) error { return os.Chown(filepath.Dir(filepath.Dir(d)), 1234, -1) }, "belongs to user 1234"},
		"a link of somebody else": {func(dir, b, _ string) error {
			return errors.Join(os.Rename(b, filepath.Join(dir, "real")), os.Symlink("real", b), os.Lchown(b, 1234, -1))
		}, "belongs to user 1234"},
		"a link through a folder of somebody else": {func(dir, b, _ string) error {
			on := filepath.Join(filepath.Dir(dir), "his")
			return errors.Join(os.Rename(b, filepath.Join(dir, "real")), os.Mkdir(on, 0o755),
				os.Symlink(filepath.Join(dir, "real"), filepath.Join(on, "link")), os.Symlink(filepath.Join(on, "link"), b), os.Chown(on, 1234, -1))
		}, "belongs to user 1234"},
		"a link to itself":          {func(_, b, _ string) error { return errors.Join(os.Remove(b), os.Symlink(b, b)) }, "more than 40 symbolic links"},
		"a manifest that is a pipe": {func(_, _, m string) error { return errors.Join(os.Remove(m), syscall.Mkfifo(m, 0o644)) }, "not a regular file"},
		"a binary that is a pipe":   {func(_, b, _ string) error { return errors.Join(os.Remove(b), syscall.Mkfifo(b, 0o755)) }, "not a regular file"},
		"somebody else's manifest":  {func(_, _, m string) error { return os.Chown(m, 1234, -1) }, "belongs to user 1234"},
		"no file":                   {func(_, b, _ string) error { return os.Remove(b) }, "no such file"},
		"a folder":                  {func(_, b, _ string) error { return errors.Join(os.Remove(b), os.Mkdir(b, 0o755)) }, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "somebody else") && os.Geteuid() != 0 {
				return // only root can change the owner of a file
			}
			dir := installed(t, "memory")
			if err := c.change(dir, filepath.Join(dir, "fairlead-memory"), filepath.Join(dir, "fairlead-memory.json")); err != nil {
				t.Fatal(err)
			}
			found, err := plugins.Find([]string{dir})
			if err != nil || len(found) != 1 {
				t.Fatalf("found %v, %v", found, err)
			}
			switch err := found[0].Verify(); {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (!errors.Is(err, fairlead.PermissionDenied) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want PermissionDenied with %q", err, c.want)
			}
		})
	}
}

// TestWhatWasVerifiedIsRun shows that a folder which is exchanged between the check
// of a plugin and its start gets nothing run: the file that was verified is.
func TestWhatWasVerifiedIsRun(t *testing.T) {
	dir := installed(t, "memory")
	found := must[[]plugins.Installed](t)(plugins.Find([]string{dir}))
	verified := must[*os.File](t)(plugins.OpenVerified(found[0]))
	defer verified.Close()
	// The attacker's folder takes the place of the folder.
	ran := filepath.Join(t.TempDir(), "ran")
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o755),
		os.WriteFile(found[0].Path, []byte("#!/bin/sh\necho x > "+ran+"\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	p, err := process.Launch(t.Context(), process.Spec{
		Name: "memory", Path: found[0].Path, Binary: verified, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if exe := must[string](t)(os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))); exe != filepath.Join(dir+".old", "fairlead-memory") {
		t.Errorf("%s runs", exe)
	}
	if comm := must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID()))); string(comm) != "fairlead-memory\n" {
		t.Errorf("the process is named %q", comm)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the attacker's program has run")
	}
}
