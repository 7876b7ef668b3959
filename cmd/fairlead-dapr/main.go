// Command fairlead-dapr is the provider of fairlead.dev/providers/dapr, which
// uses a Dapr sidecar, as a plugin: a process of its own, for programs that do
// not link the provider.
//
//	go install fairlead.dev/cmd/fairlead-dapr@latest
//	fairlead plugin install "$(go env GOPATH)/bin/fairlead-dapr"
//
// A program starts it through a plugins.Host of package fairlead.dev/plugins
// and opens plugin+dapr://127.0.0.1:50001; it is not run by hand. The manifest
// that the installation writes lists its schemes and parameters.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/dapr"
)

func main() { plugins.Main("dapr") }
