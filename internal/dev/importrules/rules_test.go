package importrules

import (
	"regexp"
	"slices"
	"strings"
)

const module = "fairlead.dev"

// rule says what a package may import, directly and through packages of this
// module. Imports of third parties are not followed.
type rule struct {
	name    string
	applies string   // a regular expression of package paths below the module's path
	own     string   // the same, for the packages of this module that they may import; $1 is a group of applies
	third   []string // modules of third parties; a path that ends in "/" allows all modules below it, "*" allows all
}

var (
	otelAPI = []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/metric"}
	// koanf takes its decoder's options as a type of mapstructure. Its parser of
	// YAML reads one document of several.
	koanf = []string{"github.com/knadh/koanf/", "github.com/go-viper/mapstructure/v2", "go.yaml.in/yaml/v3"}
	// genproto's rpc module has the type in which grpc hands out a status.
	grpc = []string{"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc"}
)

// rules: the first one that applies to a package counts. The arrows point one
// way: root ← drivers ← portable types; root ← kit ← providers ← mains.
var rules = []rule{
	{
		name:    "the root package is a leaf: the standard library only",
		applies: ``, own: `internal/opening`,
	},
	{
		name:    "the authors' kit imports the root package and the standard library only",
		applies: `providers`, own: `|internal/(opening|await|regularfile)`,
	},
	{
		name:    "the kit's part for gRPC imports the kit and grpc",
		applies: `providers/grpcsent`, own: `|providers|internal/(opening|await|regularfile)`, third: grpc,
	},
	{
		name:    "the formats of settings import the parsers only",
		applies: `config/driver/format`, own: ``, third: koanf,
	},
	{
		name:    "a driver package imports the root package only",
		applies: `((kv|pubsub|rpc|config)/driver)(/.*)?`, own: `|$1(/.*)?|internal/opening`,
	},
	{
		name:    "kv: the standard library and the OpenTelemetry API only",
		applies: `kv(/.*)?`, own: `|kv(/.*)?|` + shipped, third: otelAPI,
	},
	{
		name:    "pubsub: the standard library and the OpenTelemetry API only",
		applies: `pubsub(/.*)?`, own: `|pubsub(/.*)?|` + shipped, third: otelAPI,
	},
	{
		// Configuration can be kept in any kv facet that has Watch.
		name:    "config: the OpenTelemetry API and koanf",
		applies: `config(/.*)?`, own: `|config(/.*)?|kv/driver|` + shipped, third: slices.Concat(otelAPI, koanf),
	},
	{
		name:    "a transport of rpc imports neither the other one nor the public package",
		applies: `(rpc/internal/(?:carrier|directory))(/.*)?`, own: `|rpc/driver|rpc/internal/transport|$1(/.*)?|` + shipped,
		third: slices.Concat(otelAPI, grpc),
	},
	{
		name:    "the package that the transports of rpc share imports none of them",
		applies: `rpc/internal/transport`, own: `|rpc/driver|` + shipped, third: slices.Concat(otelAPI, grpc),
	},
	{
		name:    "rpc: the OpenTelemetry API, grpc and protobuf",
		applies: `rpc(/.*)?`, own: `|rpc(/.*)?|` + shipped, third: slices.Concat(otelAPI, grpc),
	},
	{
		// It is no provider: it is built on one.
		name:    "the adapters for programs of gocloud.dev import the portable types",
		applies: `providers/gocloud/portable`, own: `|pubsub|config|(kv|pubsub|config)/driver(/format)?|` + shipped, third: []string{"*"},
	},
	{
		name:    "a provider imports the kit and the drivers, no other provider and no portable type",
		applies: `(providers/[^/]+)(/.*)?`, own: `|providers(/grpcsent)?|(kv|pubsub|rpc|config)/driver(/format)?|$1(/.*)?|` + shipped, third: []string{"*"},
	},
	{
		name:    "the main package of a plugin imports its provider",
		applies: `cmd/fairlead-([^/]+)`, own: `|plugins(/.*)?|providers(/grpcsent|/$1(/.*)?)?|(kv|pubsub|rpc|config)/driver(/format)?|` + shipped, third: []string{"*"},
	},
	{
		// A host links no client of a backend: that is what plugins are for.
		name:    "plugins imports the kit and the drivers, and no client of a backend",
		applies: `plugins(/.*)?`, own: `|providers|(kv|pubsub|rpc|config)/driver|plugins(/.*)?|` + shipped,
		third: slices.Concat(otelAPI, grpc, []string{"github.com/hashicorp/", "github.com/planetscale/vtprotobuf", "golang.org/x/sys", "golang.org/x/mod"}),
	},
	{
		name:    "the suite imports no provider of a vendor, and no command",
		applies: `conformance(/.*)?`, third: []string{"*"},
		own: `|providers|providers/memory|(kv|pubsub|rpc|config)(/.*)?|plugins(/.*)?|conformance(/.*)?|` + shipped,
	},
	{
		name:    "what ships below internal imports the root package and the drivers",
		applies: shipped, own: `|(kv|pubsub|rpc|config)/driver|` + shipped, third: otelAPI,
	},
}

// kitUsers matches the folders of the packages that may import the kit
// themselves: a program that only uses providers imports the root package.
const kitUsers = `(providers|plugins|conformance|cmd|internal/dev)(/.*)?`

// shipped matches the folders below internal that programs of users link.
const shipped = `internal/(await|batcher|contained|handle|opening|regularfile|telemetry)(/.*)?`

// below returns the path below the module's, and whether it is in the module.
func below(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// match matches a pattern against the whole path.
func match(pattern, path string) []int {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).FindStringSubmatchIndex(path)
}

// ruleFor finds the rule for a path below the module's, if there is one.
func ruleFor(path string) (rule, bool) {
	for _, r := range rules {
		if m := match(r.applies, path); m != nil {
			r.own = string(regexp.MustCompile(r.applies).ExpandString(nil, r.own, path, m))
			return r, true
		}
	}
	return rule{}, false
}

// allows reports whether the rule permits an import. Packages without a module
// belong to the standard library.
func (r rule) allows(p *pkg) bool {
	if path, ours := below(p.ImportPath); ours {
		return match(r.own, path) != nil
	}
	return p.Module == nil || slices.ContainsFunc(r.third, func(m string) bool {
		return m == "*" || m == p.Module.Path || strings.HasSuffix(m, "/") && strings.HasPrefix(p.Module.Path, m)
	})
}
