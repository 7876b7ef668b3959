// Package scaffold writes the module of a new provider: a key-value store in
// memory that passes the conformance suite as it is.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// The delimiters of actions are not "{{" and "}}", which occur in Go.
var parsed = template.Must(template.New("").Delims("[[", "]]").ParseFS(templates, "templates/*.tmpl"))

// Provider is a provider to be written.
type Provider struct {
	Name     string // of the scheme and the package
	Module   string // path of the module
	Fairlead Fairlead
}

// path returns where the file of a template goes, below the module's folder.
func (p Provider) path(templateName string) string {
	switch name := strings.TrimSuffix(templateName, ".tmpl"); name {
	case "main.go":
		return filepath.Join("cmd", "fairlead-"+p.Name, name)
	case "gitignore":
		return ".gitignore"
	default:
		return name
	}
}

// Write makes the folder dir and writes the module into it. If it fails, it
// removes the folder. It returns an error that is [fs.ErrExist] if there
// is something at dir already.
func (p Provider) Write(dir string) (err error) {
	files, err := p.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for path, content := range files {
		err = errors.Join(err, write(filepath.Join(dir, path), content))
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// files returns the content of the module's files by their paths.
func (p Provider) files() (map[string][]byte, error) {
	names, err := fs.Glob(templates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	mod, err := p.goMod()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"go.mod": mod}
	for _, name := range names {
		name = filepath.Base(name)
		content, err := p.render(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[p.path(name)] = content
	}
	return files, nil
}

// render fills in a template. Go is formatted, since the length of names
// changes what is aligned.
func (p Provider) render(name string) ([]byte, error) {
	var b bytes.Buffer
	if err := parsed.ExecuteTemplate(&b, name, p); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(name, ".go.tmpl") {
		return b.Bytes(), nil
	}
	return format.Source(b.Bytes())
}
