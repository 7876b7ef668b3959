// Command fairlead-gocloud is the provider gocloud as a plugin, with the
// clients of the clouds that its host does not link; see fairlead.dev/plugins
// and fairlead.dev/providers/gocloud.
package main

import (
	_ "fairlead.dev/cmd/fairlead-gocloud/rabbit"
	"fairlead.dev/plugins"
	"fairlead.dev/providers/gocloud"

	_ "gocloud.dev/docstore/awsdynamodb/v2"
	_ "gocloud.dev/docstore/gcpfirestore"
	_ "gocloud.dev/docstore/mongodocstore"
	_ "gocloud.dev/pubsub/awssnssqs"
	_ "gocloud.dev/pubsub/azuresb"
	_ "gocloud.dev/pubsub/gcppubsub"
	_ "gocloud.dev/pubsub/kafkapubsub"
	_ "gocloud.dev/runtimevar/awsparamstore"
	_ "gocloud.dev/runtimevar/awssecretsmanager"
	_ "gocloud.dev/runtimevar/blobvar"
	_ "gocloud.dev/runtimevar/etcdvar"
	_ "gocloud.dev/runtimevar/gcpruntimeconfig"
	_ "gocloud.dev/runtimevar/gcpsecretmanager"
	_ "gocloud.dev/runtimevar/httpvar"
)

func main() {
	gocloud.RegisterLinked()
	plugins.Main("gocloud")
}
