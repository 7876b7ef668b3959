package readme

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	quotedName = regexp.MustCompile("`([A-Za-z.]+)`")
	function   = regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|\t)([A-Za-z]+)[(\[]`)
)

// TestWalkNames checks that every function that the walks in docs/design.md name
// exists: as a function, as a method, or as a method of an interface.
func TestWalkNames(t *testing.T) {
	design, err := os.ReadFile("../../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, walks, ok := strings.Cut(string(design), "\n## The walk of a call\n")
	walks, _, ended := strings.Cut(walks, "\n## ")
	if !ok || !ended {
		t.Fatal("docs/design.md has no section \"The walk of a call\"")
	}
	known := functionsOfTree(t, "../../..")
	names := quotedName.FindAllStringSubmatch(walks, -1)
	if len(names) < 20 {
		t.Errorf("the walks name %d functions only", len(names))
	}
	for _, m := range names {
		if name := m[1][strings.LastIndexByte(m[1], '.')+1:]; !known[name] {
			t.Errorf("docs/design.md names %s, which is no function", m[1])
		}
	}
}

func functionsOfTree(t *testing.T, root string) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(source, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}
