// Command fairlead-etcd is the provider etcd as a plugin; see fairlead.dev/plugins.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/etcd"
)

func main() { plugins.Main("etcd") }
