package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/process"
	"fairlead.dev/providers"
)

// Manifest describes a plugin and what it offers, so that a host knows this without
// starting the plugin. It is the JSON file fairlead-NAME.json beside the plugin's
// binary.
type Manifest struct {
	// Name is the plugin's name: lower-case letters, digits and dashes.
	Name string `json:"name"`
	// Command is the file name of the binary, which is in the manifest's folder.
	Command string `json:"command"`
	// SHA256 is the binary's checksum, in hexadecimal digits.
	SHA256 string `json:"sha256,omitempty"`
	// Protocols are the versions of the protocol that the plugin speaks.
	Protocols []int `json:"protocols"`
	// Env names the variables of the host's environment that the plugin gets, in
	// addition to those that every plugin gets.
	Env     []string `json:"env,omitempty"`
	Schemes []Scheme `json:"schemes"`
}

// Scheme is a URL scheme that a plugin offers.
type Scheme struct {
	Name     string    `json:"name"`
	Help     string    `json:"help,omitempty"`
	Settings []Setting `json:"settings,omitempty"`
}

// Setting is a [providers.Setting] in a manifest. Min and Max of a duration
// are in nanoseconds.
type Setting struct {
	Name    string         `json:"name"`
	Kind    providers.Kind `json:"kind"`
	Default string         `json:"default,omitempty"`
	Values  []string       `json:"values,omitempty"`
	Min     int64          `json:"min,omitempty"`
	Max     int64          `json:"max,omitempty"`
	Help    string         `json:"help,omitempty"`
}

const (
	prefix      = "fairlead-"
	manifestExt = ".json"
	maxManifest = 1 << 20 // bytes of the file
)

var (
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	schemeForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,62}$`)
	sumForm    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	envForm    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	kinds      = []providers.Kind{
		providers.String, providers.Bool, providers.Int, providers.Duration,
		providers.Enum, providers.File, providers.Env,
	}
)

// ownManifest returns the manifest of a plugin that offers the schemes which are
// registered in this process.
func ownManifest(name string) Manifest {
	m := Manifest{Name: name, Command: prefix + name, Protocols: []int{process.Version}}
	for _, s := range providers.Schemes() {
		if strings.HasPrefix(s.Name, sidecarPrefix) {
			continue // this package registers it
		}
		offered := Scheme{Name: s.Name, Help: s.Help}
		for _, set := range s.Settings {
			offered.Settings = append(offered.Settings, Setting(set))
		}
		m.Schemes = append(m.Schemes, offered)
	}
	return m
}

// ParseManifest decodes and checks a manifest. Unknown fields are refused. Errors
// are Invalid and have the file's name.
func ParseManifest(file string, data []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&m)
	if err == nil && !errors.Is(d.Decode(&struct{}{}), io.EOF) {
		err = errors.New("the manifest is followed by more data; a file must have one JSON object")
	}
	if err != nil {
		err = explainJSON(err, data)
	} else {
		err = m.check()
	}
	if err != nil {
		return Manifest{}, fairlead.Errorf(fairlead.Invalid, "%s: %w", file, err)
	}
	return m, nil
}

func explainJSON(err error, data []byte) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
		return fmt.Errorf("line %d is not valid JSON: %w", line, err)
	case errors.As(err, &kind):
		return fmt.Errorf("field %q is a JSON %s; it must be of the type %s", kind.Field, kind.Value, kind.Type)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends before the JSON object does")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("the field %s is unknown; remove it, or use a newer host", name)
	}
	return err
}

func (m Manifest) check() error {
	switch {
	case !nameForm.MatchString(m.Name):
		return fmt.Errorf("field \"name\" is %q; it must consist of lower-case letters, digits and dashes, and begin with a letter", m.Name)
	case m.Command == "" || m.Command != filepath.Base(m.Command) || m.Command == "." || m.Command == "..":
		return fmt.Errorf("field \"command\" is %q; it must be the name of a file in the manifest's folder", m.Command)
	case m.SHA256 != "" && !sumForm.MatchString(m.SHA256):
		return fmt.Errorf("field \"sha256\" is %q; it must be 64 lower-case hexadecimal digits, as sha256sum prints them", m.SHA256)
	case len(m.Protocols) == 0:
		return fmt.Errorf("field \"protocols\" is empty; it must list the versions of the protocol that the plugin speaks, for example [%d]", process.Version)
	case len(m.Schemes) == 0:
		return errors.New("field \"schemes\" is empty; a plugin must offer at least one")
	}
	for _, e := range m.Env {
		if !envForm.MatchString(e) {
			return fmt.Errorf("field \"env\" has %q, which is not a valid name of an environment variable", e)
		}
	}
	for i, s := range m.Schemes {
		if err := s.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(m.Schemes[:i], func(o Scheme) bool { return o.Name == s.Name }) {
			return fmt.Errorf("field \"schemes\" has %q twice", s.Name)
		}
	}
	return nil
}

func (s Scheme) check() error {
	if !schemeForm.MatchString(s.Name) {
		return fmt.Errorf("field \"schemes.name\" is %q; it must be the scheme of a URL in lower case", s.Name)
	}
	for i, set := range s.Settings {
		if err := set.check(); err != nil {
			return fmt.Errorf("scheme %q: %w", s.Name, err)
		}
		if slices.ContainsFunc(s.Settings[:i], func(o Setting) bool { return o.Name == set.Name }) {
			return fmt.Errorf("scheme %q: field \"settings\" has %q twice", s.Name, set.Name)
		}
	}
	return nil
}

func (s Setting) check() error {
	switch {
	case s.Name == "":
		return errors.New("field \"settings.name\" is empty")
	case !slices.Contains(kinds, s.Kind):
		return fmt.Errorf("setting %q: field \"kind\" is %q; accepted: %v", s.Name, s.Kind, kinds)
	case s.Kind == providers.Enum && len(s.Values) == 0:
		return fmt.Errorf("setting %q: field \"values\" is empty; for an enum it must list the accepted values", s.Name)
	case s.Max != 0 && s.Max < s.Min:
		return fmt.Errorf("setting %q: field \"max\" is %d, which is less than min, %d", s.Name, s.Max, s.Min)
	case s.Default == "" || s.Kind == providers.File:
		return nil
	}
	given := providers.Scheme{Name: "x", Settings: []providers.Setting{providers.Setting(s)}}
	if _, err := given.Parse("x://x?" + url.Values{s.Name: {s.Default}}.Encode()); err != nil {
		return fmt.Errorf("setting %q: field \"default\": %w", s.Name, err)
	}
	return nil
}

// Scheme returns a scheme that the plugin offers. The scheme has no Open, but can
// parse URLs. Scheme returns false if the plugin does not offer it.
func (m Manifest) Scheme(name string) (providers.Scheme, bool) {
	for _, s := range m.Schemes {
		if s.Name != name {
			continue
		}
		p := providers.Scheme{Name: s.Name, Help: s.Help}
		for _, set := range s.Settings {
			p.Settings = append(p.Settings, providers.Setting(set))
		}
		return p, true
	}
	return providers.Scheme{}, false
}

// encode returns the manifest as it is written to a file.
func (m Manifest) encode() []byte {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err) // JSON can represent every manifest
	}
	return append(b, '\n')
}
