package opening

import (
	"fmt"
	"strings"
)

// ownSchemes are the schemes of this module, with the packages that register them. A
// test compares the list with the packages.
var ownSchemes = map[string]string{
	"mem":              "fairlead.dev/providers/memory",
	"redis":            "fairlead.dev/providers/redis",
	"rediss":           "fairlead.dev/providers/redis",
	"etcd":             "fairlead.dev/providers/etcd",
	"etcds":            "fairlead.dev/providers/etcd",
	"nats":             "fairlead.dev/providers/nats",
	"dapr":             "fairlead.dev/providers/dapr",
	"daprs":            "fairlead.dev/providers/dapr",
	"gocloud+mem":      "fairlead.dev/providers/gocloud",
	"gocloud+file":     "fairlead.dev/providers/gocloud",
	"gocloud+constant": "fairlead.dev/providers/gocloud",
}

// SchemeRemedy says how a program that does not know a scheme comes to know it.
func SchemeRemedy(scheme string) string {
	const usePlugin = "import _ \"fairlead.dev/plugins/auto\", and install the plugin with fairlead plugin install"
	if path, own := ownSchemes[scheme]; own {
		return fmt.Sprintf("to link its provider, import _ %q", path)
	}
	switch prefix, _, _ := strings.Cut(scheme, "+"); prefix {
	case "plugin":
		return "to find plugins, " + usePlugin
	case "sidecar":
		return "to use sidecars, import _ \"fairlead.dev/plugins\""
	case "gocloud":
		return "import the package of the driver of gocloud.dev and _ \"fairlead.dev/providers/gocloud\"; for the clouds, " + usePlugin
	}
	return "import the package of its provider; if a plugin offers it, " + usePlugin
}
