package fairlead_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documentedPackages are the packages whose names the documentation shows, by
// folder.
var documentedPackages = map[string]string{
	"fairlead": ".", "kv": "kv", "lock": "kv/lock", "pubsub": "pubsub", "rpc": "rpc", "config": "config",
	"providers": "providers", "plugins": "plugins", "conformance": "conformance",
}

var (
	codePattern = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	namePattern = regexp.MustCompile(`(?:^|[^.\w])(fairlead|kv|lock|pubsub|rpc|config|providers|plugins|conformance)\.([A-Z]\w*)`)
)

// TestDocumentedNamesExist looks up every qualified name that the code in
// README.md and docs shows.
func TestDocumentedNamesExist(t *testing.T) {
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]map[string]bool{}
	for name, dir := range documentedPackages {
		exported[name] = exportedNames(t, dir)
	}
	found := 0
	for _, file := range append(files, "README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codePattern.FindAllString(string(text), -1) {
			for _, name := range namePattern.FindAllStringSubmatch(code, -1) {
				found++
				if !exported[name[1]][name[2]] {
					t.Errorf("%s shows the name %s, which does not exist", file, name[1]+"."+name[2])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d names were found", found)
	}
}

// exportedNames returns the names that a package declares, without methods.
func exportedNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			addNames(names, d)
		}
	}
	return names
}

func addNames(names map[string]bool, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names[d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names[spec.Name.Name] = true
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names[name.Name] = true
				}
			}
		}
	}
}
