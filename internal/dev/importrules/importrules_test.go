package importrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what "go list -json" says about a package.
type pkg struct {
	ImportPath string
	Imports    []string // without the imports of test files
	Module     *struct{ Path string }
}

// graph has packages by their import path.
type graph map[string]*pkg

func TestImportRules(t *testing.T) {
	g := load(t)
	for path := range g {
		for _, v := range g.violations(path) {
			t.Error(v)
		}
	}
}

// TestProvidersHaveWhatStrangersHave: a provider imports no internal package of
// the module directly, since the module of another author could not.
func TestProvidersHaveWhatStrangersHave(t *testing.T) {
	for path, p := range load(t) {
		provider, _ := below(path)
		if match(`providers/.+`, provider) == nil || match(`providers/gocloud/portable`, provider) != nil {
			continue
		}
		for _, imported := range p.Imports {
			if own, ok := below(imported); ok && strings.HasPrefix(own, "internal/") {
				t.Errorf("%s imports %s; the authors' kit should offer what it needs", provider, own)
			}
		}
	}
}

// TestRulesCatch checks each rule with imports that break it.
func TestRulesCatch(t *testing.T) {
	const vendor = "github.com/vendor/client"
	for _, c := range []struct {
		imports string // "A > B > C": A imports B imports C
		chain   string // what the failure shows; empty if all is well
	}{
		{" > fmt", ""},
		{" > providers", "fairlead.dev → providers"},
		{" > go.opentelemetry.io/otel", "fairlead.dev → go.opentelemetry.io/otel"},
		{"providers > internal/opening", ""},
		{"providers > kv/driver", "providers → kv/driver"},
		{"providers > go.opentelemetry.io/otel", "providers → go.opentelemetry.io/otel"},
		{"providers > internal/await", ""},
		{"providers/grpcsent > google.golang.org/grpc", ""},
		{"providers/grpcsent > " + vendor, "providers/grpcsent → " + vendor},
		{"cmd/fairlead-etcd > providers/etcd > providers/grpcsent > google.golang.org/grpc", ""},
		{"kv > providers/grpcsent", "kv → providers/grpcsent"},
		{"kv/driver > ", ""},
		{"kv/driver > providers", "kv/driver → providers"},
		{"kv/driver > internal/await", "kv/driver → internal/await"},
		{"kv/driver > pubsub/driver", "kv/driver → pubsub/driver"},
		{"kv > internal/handle > go.opentelemetry.io/otel", ""},
		{"kv > internal/handle > " + vendor, "kv → internal/handle → " + vendor},
		{"kv > internal/unlisted", "kv → internal/unlisted"},
		{"cmd/fairlead > providers", ""},
		{"examples/greeter > providers", "examples/greeter → providers"},
		{"examples/greeter > providers/redis", ""},
		{"examples/greeter > providers", "examples/greeter → providers"},
		{"kv > pubsub", "kv → pubsub"},
		{"kv/lock > kv", ""},
		{"kv/lock > kv > " + vendor, "kv/lock → kv → " + vendor},
		{"kv > go.opentelemetry.io/otel/sdk", "kv → go.opentelemetry.io/otel/sdk"},
		{"pubsub > google.golang.org/grpc", "pubsub → google.golang.org/grpc"},
		{"config > github.com/knadh/koanf/v2", ""},
		{"config > google.golang.org/grpc", "config → google.golang.org/grpc"},
		{"rpc > google.golang.org/grpc", ""},
		{"rpc > github.com/knadh/koanf/v2", "rpc → github.com/knadh/koanf/v2"},
		{"providers/redis > " + vendor, ""},
		{"providers/redis > providers/redis/internal/script > " + vendor, ""},
		{"providers/redis > kv", "providers/redis → kv"},
		{"providers/redis > providers/memory", "providers/redis → providers/memory"},
		{"providers/redis/x > providers/redis > rpc", "providers/redis/x → providers/redis → rpc"},
		{"conformance > providers/memory", ""},
		{"conformance > providers/redis", "conformance → providers/redis"},
		{"plugins > plugins/internal/x > github.com/hashicorp/go-plugin", ""},
		{"plugins > " + vendor, "plugins → " + vendor},
		{"plugins > kv", "plugins → kv"},
		{"cmd/fairlead-redis > providers/redis > " + vendor, ""},
		{"cmd/fairlead-redis > providers/memory", "cmd/fairlead-redis → providers/memory"},
		{"cmd/fairlead > providers/redis", ""},
		{"cmd/fairlead > internal/dev/testbed", "cmd/fairlead → internal/dev/testbed"},
		{"internal/dev/testbed/etcd > internal/dev/testbed", ""},
	} {
		t.Run(c.imports, func(t *testing.T) {
			g := fabricate(c.imports)
			from, _, _ := strings.Cut(c.imports, " > ")
			got := g.violations(strings.TrimSuffix(module+"/"+from, "/"))
			switch {
			case c.chain == "" && len(got) > 0:
				t.Errorf("refused: %s", got)
			case c.chain != "" && (len(got) != 1 || !strings.HasSuffix(got[0], ": "+c.chain)):
				t.Errorf("got %q, want the chain %s", got, c.chain)
			}
		})
	}
}

// violations are the shortest import chains by which a package breaks a rule.
func (g graph) violations(from string) (found []string) {
	path, ours := below(from)
	if !ours {
		return nil
	}
	if chain, ok := g.importsDev(from); ok {
		found = append(found, "only test files may import internal/dev: "+chain)
	}
	if r, ok := ruleFor(path); ok {
		for _, chain := range g.search(from, r.allows) {
			found = append(found, r.name+": "+chain)
		}
	}
	if kit := module + "/providers"; len(found) == 0 && match(kitUsers, path) == nil && slices.Contains(g[from].Imports, kit) {
		found = append(found, "only authors of providers import the kit: "+show([]string{from, kit}))
	}
	return found
}

// importsDev returns the arrow by which a package that ships imports one that
// only tests, builds or measures.
func (g graph) importsDev(from string) (chain string, found bool) {
	isDev := func(path string) bool { return strings.HasPrefix(path, module+"/internal/dev/") }
	if isDev(from) {
		return "", false
	}
	if i := slices.IndexFunc(g[from].Imports, isDev); i >= 0 {
		return show([]string{from, g[from].Imports[i]}), true
	}
	return "", false
}

// search walks breadth-first over own packages, as long as they are allowed, and
// returns a chain to each package that is not.
func (g graph) search(from string, allowed func(*pkg) bool) (chains []string) {
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		for _, next := range g[here[len(here)-1]].Imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			chain := append(slices.Clone(here), next)
			p := g.at(next)
			if _, ours := below(next); !allowed(p) {
				chains = append(chains, show(chain))
			} else if ours {
				queue = append(queue, chain)
			}
		}
	}
	return chains
}

// at never returns nil: "unsafe" and "C" are imports, but go list does not list them.
func (g graph) at(path string) *pkg {
	if p := g[path]; p != nil {
		return p
	}
	return &pkg{ImportPath: path}
}

func show(chain []string) string {
	short := make([]string, len(chain))
	for i, path := range chain {
		if b, ours := below(path); ours && b != "" {
			path = b
		}
		short[i] = path
	}
	return strings.Join(short, " → ")
}

// load lists the packages of this module and their dependencies. A package that
// does not compile is listed with the imports that could be read.
func load(t *testing.T) graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Imports,Module", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	g := graph{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = &p
	}
	if g[module+"/providers"] == nil {
		t.Fatal("go list does not name the providers package: the rules would hold for nothing")
	}
	return g
}

// fabricate makes a graph of one chain of imports.
func fabricate(imports string) graph {
	g := graph{}
	var last *pkg
	for path := range strings.SplitSeq(imports, " > ") {
		p := &pkg{ImportPath: path}
		switch host, _, _ := strings.Cut(path, "/"); {
		case strings.Contains(host, "."):
			p.Module = &struct{ Path string }{path}
		case host != "fmt":
			p.ImportPath = strings.TrimSuffix(module+"/"+path, "/")
			p.Module = &struct{ Path string }{module}
		}
		if last != nil {
			last.Imports = []string{p.ImportPath}
		}
		g[p.ImportPath], last = p, p
	}
	return g
}
