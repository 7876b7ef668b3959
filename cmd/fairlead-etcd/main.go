// Command fairlead-etcd is the provider of fairlead.dev/providers/etcd, which
// uses an etcd cluster, as a plugin: a process of its own, for programs that do
// not link the provider.
//
//	go install fairlead.dev/cmd/fairlead-etcd@latest
//	fairlead plugin install "$(go env GOPATH)/bin/fairlead-etcd"
//
// A program starts it through a plugins.Host of package fairlead.dev/plugins
// and opens plugin+etcd://127.0.0.1:2379; it is not run by hand. The manifest
// that the installation writes lists its schemes and parameters.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/etcd"
)

func main() { plugins.Main("etcd") }
