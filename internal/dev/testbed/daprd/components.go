package main

import (
	configredis "github.com/dapr/components-contrib/configuration/redis"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	"github.com/dapr/components-contrib/nameresolution/sqlite"
	pubsubmemory "github.com/dapr/components-contrib/pubsub/in-memory"
	pubsubredis "github.com/dapr/components-contrib/pubsub/redis"
	statememory "github.com/dapr/components-contrib/state/in-memory"
	stateredis "github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/kit/logger"

	"github.com/dapr/dapr/pkg/components/bindings"
	"github.com/dapr/dapr/pkg/components/configuration"
	"github.com/dapr/dapr/pkg/components/conversation"
	"github.com/dapr/dapr/pkg/components/crypto"
	"github.com/dapr/dapr/pkg/components/lock"
	"github.com/dapr/dapr/pkg/components/middleware/http"
	"github.com/dapr/dapr/pkg/components/nameresolution"
	"github.com/dapr/dapr/pkg/components/pubsub"
	"github.com/dapr/dapr/pkg/components/secretstores"
	"github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/runtime/registry"
)

// components are the registries of the runtime with all that this program links.
func components(log logger.Logger) *registry.Options {
	state.DefaultRegistry.RegisterComponent(stateredis.NewRedisStateStore, "redis")
	state.DefaultRegistry.RegisterComponent(statememory.NewInMemoryStateStore, "in-memory")
	state.DefaultRegistry.RegisterComponent(newCareless, "careless")
	pubsub.DefaultRegistry.RegisterComponent(pubsubredis.NewRedisStreams, "redis")
	pubsub.DefaultRegistry.RegisterComponent(pubsubmemory.New, "in-memory")
	configuration.DefaultRegistry.RegisterComponent(configredis.NewRedisConfigurationStore, "redis")
	nameresolution.DefaultRegistry.RegisterComponent(mdns.NewResolver, "mdns")
	nameresolution.DefaultRegistry.RegisterComponent(sqlite.NewResolver, "sqlite")

	// A registry without a logger panics at the first component that it makes.
	state.DefaultRegistry.Logger = log
	pubsub.DefaultRegistry.Logger = log
	configuration.DefaultRegistry.Logger = log
	nameresolution.DefaultRegistry.Logger = log
	secretstores.DefaultRegistry.Logger = log
	crypto.DefaultRegistry.Logger = log
	lock.DefaultRegistry.Logger = log
	bindings.DefaultRegistry.Logger = log
	conversation.DefaultRegistry.Logger = log
	http.DefaultRegistry.Logger = log

	return registry.NewOptions().
		WithStateStores(state.DefaultRegistry).
		WithPubSubs(pubsub.DefaultRegistry).
		WithConfigurations(configuration.DefaultRegistry).
		WithNameResolutions(nameresolution.DefaultRegistry).
		WithSecretStores(secretstores.DefaultRegistry).
		WithCryptoProviders(crypto.DefaultRegistry).
		WithLocks(lock.DefaultRegistry).
		WithBindings(bindings.DefaultRegistry).
		WithConversations(conversation.DefaultRegistry).
		WithHTTPMiddlewares(http.DefaultRegistry)
}
