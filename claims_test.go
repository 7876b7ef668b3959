package fairlead_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	pubsubdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// TestAClaimHasOneName demands that the claim "kv.Watch" is the constant
// kv.Watch in Go, and the same for every claim.
func TestAClaimHasOneName(t *testing.T) {
	for facet, claims := range map[fairlead.Facet][]fairlead.ClaimInfo{
		fairlead.KV: kvdriver.Claims(), fairlead.PubSub: pubsubdriver.Claims(),
		fairlead.RPC: rpcdriver.Claims(), fairlead.Config: configdriver.Claims(),
	} {
		texts := map[string]string{} // by the name of the driver's constant
		for name, value := range constants(t, filepath.Join(string(facet), "driver")) {
			if text, err := strconv.Unquote(value); err == nil {
				texts["driver."+name] = text
			}
		}
		portable := constants(t, string(facet))
		for _, c := range claims {
			name, ofFacet := strings.CutPrefix(string(c.Claim), string(facet)+".")
			if got := texts[portable[name]]; !ofFacet || got != string(c.Claim) {
				t.Errorf("the claim %q: the constant %s of package %s is %q", c.Claim, name, facet, got)
			}
		}
	}
	common := constants(t, ".")
	for _, c := range fairlead.CommonClaims() {
		if got, err := strconv.Unquote(common[string(c.Claim)]); err != nil || got != string(c.Claim) {
			t.Errorf("the claim %q: the constant fairlead.%s is %q", c.Claim, c.Claim, got)
		}
	}
}

// constants returns the values of a package's constants, as they are written.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	all := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				addConstants(all, g)
			}
		}
	}
	return all
}

func addConstants(all map[string]string, g *ast.GenDecl) {
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			if i >= len(v.Values) {
				continue
			}
			switch value := v.Values[i].(type) {
			case *ast.BasicLit:
				all[name.Name] = value.Value
			case *ast.SelectorExpr:
				if pkg, ok := value.X.(*ast.Ident); ok {
					all[name.Name] = pkg.Name + "." + value.Sel.Name
				}
			}
		}
	}
}
