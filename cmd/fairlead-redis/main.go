// Command fairlead-redis is the provider of fairlead.dev/providers/redis, which
// uses a Redis server, as a plugin: a process of its own, for programs that do
// not link the provider.
//
//	go install fairlead.dev/cmd/fairlead-redis@latest
//	fairlead plugin install "$(go env GOPATH)/bin/fairlead-redis"
//
// A program starts it through a plugins.Host of package fairlead.dev/plugins
// and opens plugin+redis://127.0.0.1:6379. An operator runs it as a sidecar with
// fairlead plugin run. The manifest that the installation writes lists its schemes
// and settings.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/redis"
)

func main() { plugins.Main("redis") }
