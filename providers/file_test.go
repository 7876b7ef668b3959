//go:build unix

package providers

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/regularfile"
)

// A setting that names what is no file, or a file that is too long to be the one
// that is meant, is Invalid at once: nothing waits for a pipe's writer, and nothing
// reads a device to its end. So is a file that one of these replaces later.
func TestFileSettings(t *testing.T) {
	dir := t.TempDir()
	pipe, long := filepath.Join(dir, "pipe"), filepath.Join(dir, "long")
	must(t, syscall.Mkfifo(pipe, 0o600))
	must(t, os.WriteFile(long, bytes.Repeat([]byte("x"), regularfile.MaxCredential+1), 0o600))
	for _, c := range []struct{ path, says string }{
		{pipe, "named pipe"}, {dir, "folder"}, {"/dev/zero", "device"}, {long, "more than 1048576 bytes"},
	} {
		for _, setting := range []string{"password-file", "ca-file", "cert-file", "key-file"} {
			_, err := parseFileSetting(setting, c.path)
			checkFileError(t, err, setting, c.path, c.says)

			link := filepath.Join(t.TempDir(), "link")
			must(t, os.WriteFile(link, []byte("text"), 0o600))
			s, err := parseFileSetting(setting, link)
			must(t, err)
			must(t, os.Remove(link))
			must(t, os.Symlink(c.path, link))
			checkFileError(t, readFileSetting(s, setting), setting, link, c.says)
		}
	}
}

// A symbolic link to a file is the file.
func TestFileSettingThatIsALink(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("text\n"), 0o600))
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("file", link))
	s, err := parseFileSetting("password-file", link)
	must(t, err)
	if got, err := s.Password(); got != "text" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func parseFileSetting(name, path string) (Settings, error) {
	u := &url.URL{Scheme: "test", Host: "h", RawQuery: url.Values{name: {path}}.Encode()}
	return parseSettings(u, append(PasswordSettings(), TLSSettings("")...))
}

// readFileSetting reads the file of a setting. A key without its certificate is read
// with a file that is empty.
func readFileSetting(s Settings, name string) error {
	switch name {
	case "password-file":
		_, err := s.Password()
		return err
	case "cert-file":
		s.values["key-file"] = s.values[name]
	case "key-file":
		cert := s.values[name] + ".cert"
		if err := os.WriteFile(cert, nil, 0o600); err != nil {
			return err
		}
		s.values["cert-file"] = cert
	}
	_, err := s.TLSConfig()
	return err
}

func checkFileError(t *testing.T, err error, says ...string) {
	t.Helper()
	if fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("%q: got %v, want Invalid", says, err)
		return
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v: does not say %q", err, word)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
