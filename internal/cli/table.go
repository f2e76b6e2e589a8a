package cli

import "strings"

// setting is one thing that can be set: in the file under its name, in the environment as INFERNET_ and its name in
// capitals with _ for a dot, by a flag of the commands that use it.
type setting struct {
	name     string
	standard string
	kind     string // text, list, number, duration, yesno, file
	about    string
}

// table is every setting there is.
var table = []setting{
	{"data_dir", "", "text", "folder for keys, ledgers and events"},
	{"relays", "ws://127.0.0.1:3000", "list", "relays where jobs are bought and sold"},
	{"wallet", "", "file", "wallet to pay from: file:/path of a file that holds its address; or qr: to show invoices and pay them from elsewhere"},
	{"password_file", "", "text", "file that holds the password of encrypted keys; asked for at the terminal if unset"},
	{"files.servers", "", "list", "file servers; those beside the relays if unset"},
	{"log.level", "warn", "text", "debug, info, warn or error"},
	{"log.json", "false", "yesno", "log one JSON object a line"},
	{"relay.listen", "127.0.0.1:3000", "text", "address the relay listens on"},
	{"relay.name", "infernet relay", "text", "the relay's name"},
	{"relay.url", "", "text", "the relay's address as clients know it, behind a proxy"},
	{"relay.tls_cert", "", "text", "certificate of the relay, a PEM file; read again when it changes"},
	{"relay.tls_key", "", "text", "the certificate's key, a PEM file"},
	{"relay.acme", "", "list", "names that a certificate is fetched for (ACME); port 443 of them has to lead here. You agree to the authority's terms"},
	{"relay.redirect", "", "text", "address where browsers that ask over http:// are sent on to the relay's https://; none if unset, :80 with --domain"},
	{"relay.acme_email", "", "text", "where the authority can reach you"},
	{"relay.acme_ca", "", "text", "the authority's directory; Let's Encrypt if unset"},
	{"relay.acme_root", "", "text", "root certificate of the authority's own server, a PEM file, if no system knows it"},
	{"relay.hosts", "", "list", "more names that browsers may know this server by"},
	{"relay.origins", "", "list", "pages that may call from elsewhere, as https://app.example; * is every page. The relay itself is for every page"},
	{"relay.metrics", "local", "text", "who may read /metrics: local (this machine), all or off"},
	{"relay.private_jobs", "false", "yesno", "show encrypted jobs only to their two parties"},
	{"relay.connections", "4096", "number", "connections at once"},
	{"relay.connections_each", "64", "number", "connections from one address; this machine's own may take all. A proxy on another machine is one address"},
	{"relay.writers", "all", "text", "who may publish: all, or allowed (keys of 'infernet relay allow', and connections that have proved one)"},
	{"relay.kinds", "all", "list", "kinds that are taken: all; or market (what a market needs, and NIP-90) and numbers of more kinds"},
	{"relay.rate", "1000", "number", "messages a second of one connection; who sends more is read more slowly"},
	{"relay.rate_key", "1000", "number", "events a second of one key, over all its connections; no limit if 0"},
	{"relay.rate_address", "4000", "number", "messages a second from one address (IPv6: one /64), but this machine's; no limit if 0"},
	{"relay.work", "20", "number", "bits of work (NIP-13) that a request of an unknown key brings at most, while many ask; the relay raises and lowers it; none if 0"},
	{"relay.work_from", "100", "number", "requests of unknown keys a second from which work is asked for"},
	{"relay.offer_work", "0", "number", "bits of work (NIP-13) that an offer of an unknown node brings, always; none if 0"},
	{"relay.keep_free", "16", "number", "MiB of the disk that the relay's log leaves to others; it takes no events beyond"},
	{"relay.admins", "", "list", "keys that may operate the relay over HTTP (NIP-86, backup, import), npub or hex; beside operator.key of its data folder"},
	{"relay.files", "true", "yesno", "keep files, too"},
	{"relay.files_price", "0", "number", "msat that an upload costs for each started MiB; nothing if 0"},
	{"relay.wallet", "", "file", "wallet that uploads are paid into: file:/path of a file that holds its address; 'infernet up' uses the node's if unset"},
	{"relay.files_total", "10240", "number", "MiB of files altogether"},
	{"relay.files_quota", "2048", "number", "MiB of files of one key"},
	{"relay.files_keep", "720h", "duration", "how long a file is kept"},
	{"relay.moderators", "", "list", "keys whose reports (BUD-09) remove a file for good; others' reports are kept for you to read"},
	{"provide.engine", "", "text", "engine that does the jobs; found if unset"},
	{"provide.probe", "http://127.0.0.1:11434/v1,http://127.0.0.1:8080/v1,http://127.0.0.1:8000/v1,http://127.0.0.1:1234/v1", "list",
		"where an engine may run here: Ollama, llama-server, vLLM, LM Studio"},
	{"provide.name", "", "text", "the node's name; the machine's if unset"},
	{"provide.about", "", "text", "a line about the node"},
	{"provide.wallet", "", "file", "wallet to be paid into: file:/path of a file that holds its address"},
	{"provide.slots", "0", "number", "jobs at once; what the engine can if 0"},
	{"provide.pay", "", "list", "ways to be paid, preferred first: prepaid, hold, sealed; and credit: accounts that customers pay into"},
	{"provide.listen", "", "text", "address where the node answers its owner over HTTP: /healthz, /metrics, /openapi.json, history; none if unset. 'infernet up' has the relay's"},
	{"provide.url", "", "text", "that door's address as clients know it, behind a proxy"},
	{"provide.tls_cert", "", "text", "certificate of that door, a PEM file; read again when it changes"},
	{"provide.tls_key", "", "text", "the certificate's key, a PEM file"},
	{"provide.hosts", "", "list", "more names that browsers may know that door by"},
	{"provide.origins", "", "list", "pages that may call that door from elsewhere, as https://app.example"},
	{"provide.metrics", "local", "text", "who may read that door's /metrics: local (this machine), all or off"},
	{"provide.owner", "", "list", "keys that may see and steer the node through the relays, npub or hex; else the first that says the one-time code"},
	{"provide.sample", "15s", "duration", "how often the machine's use, memory, temperature and power are read; never if 0"},
	{"provide.free_jobs", "0", "number", "jobs given away to each key in a day"},
	{"provide.free_jobs_all", "100", "number", "jobs given away in a day to all keys together: keys cost nothing"},
	{"provide.hours", "", "text", "hours in which jobs are taken, always if empty: mon-fri 18:00-08:00; sat,sun 00:00-24:00, or cron: 0 22 * * mon-fri 8h"},
	{"provide.zone", "", "text", "time zone of provide.hours and provide.price.hours, such as Europe/Berlin; this machine's if unset"},
	{"provide.models", "", "list", "only these of the engine's models; all if unset"},
	{"provide.model_prices", "", "text", "prices of single models in msat, as of provide.price: smol base=1000 in=20000 out=60000; big out=200000"},
	{"provide.bench", "20s", "duration", "how long each model is measured before the node first sells it, and tries itself; neither if 0"},
	{"provide.limits", "", "text", "bounds of models: jobs at once, units in and out of a job: smol slots=1 in=4000 out=500; big slots=2"},
	{"provide.paused", "false", "yesno", "take no jobs; those that were taken go on"},
	{"provide.allow", "", "list", "only these keys may buy, npub or hex; everybody if unset"},
	{"provide.block", "", "list", "these keys may not buy, npub or hex"},
	{"provide.work", "0", "number", "bits of work (NIP-13) that a key which is not known brings while many wait, unless it pays first; none are asked for if 0"},
	{"provide.price.base", "1000", "number", "msat for each job"},
	{"provide.price.in", "20000", "number", "msat for 1000 units in"},
	{"provide.price.out", "60000", "number", "msat for 1000 units out"},
	{"provide.price.ms", "0", "number", "msat for 1000 milliseconds of work"},
	{"provide.price.minimum", "0", "number", "msat that a job costs at least, if it costs anything"},
	{"provide.price.hours", "", "text", "hours at which prices are others, and the percentage: 22:00-06:00 50; sat,sun 00:00-24:00 80"},
	{"provide.price.low", "80", "number", "percent of the price that a job of low priority costs"},
	{"provide.price.normal", "100", "number", "percent of the price that a job of normal priority costs"},
	{"provide.price.high", "150", "number", "percent of the price that a job of high priority costs"},
	{"provide.alert.hot", "85", "number", "°C at which a graphics card is told of; never if 0"},
	{"provide.alert.free", "2048", "number", "MiB that are to be free where the node keeps its data; not looked at if 0"},
	{"provide.alert.success", "80", "number", "percent of a day's jobs that are to be delivered; not looked at if 0"},
	{"provide.alert.earnings", "0", "number", "satoshi that a day is to earn; not looked at if 0"},
	{"run.key", "", "text", "key file to buy with, always the same; a fresh key for each job if unset"},
	{"run.reviews", "false", "yesno", "publish a review of each job, from what was measured, under the key that bought it"},
	{"run.trust", "", "list", "keys whose reviews and assertions (NIP-85) of nodes count while little was measured here"},
	{"run.model", "", "text", "model to ask for"},
	{"run.max_cost", "100", "number", "most satoshi that one job may cost"},
	{"run.budget", "0", "number", "most satoshi that all jobs together may cost in 24 hours, without fees; no bound if 0"},
	{"run.stake", "100", "number", "most satoshi paid in advance for a job at a node that is not known here, where run.pay says nothing"},
	{"run.way", "auction", "text", "auction, direct or plain"},
	{"run.pay", "", "list", "ways to pay, preferred first: prepaid, hold, sealed; or free; or credit, out of an account at the node; by what is at risk if unset"},
	{"run.window", "1s", "duration", "how long an auction collects offers"},
	{"run.hedge", "0s", "duration", "after how long a silent node is hedged by a second one; only the first of the two is paid, what is locked for the other comes back. Never if 0"},
	{"run.deadline", "5m", "duration", "how long a job may take"},
	{"gateway.name", "infernet gateway", "text", "the gateway's name"},
	{"gateway.listen", "127.0.0.1:3000", "text", "address the gateway listens on; 'infernet up' has it at the relay's"},
	{"gateway.max_day", "1000", "number", "most satoshi that all jobs of a day may cost, where 'infernet budget set all' says nothing; no limit if 0"},
	{"gateway.keys", "false", "yesno", "apps on this machine need an app key, too"},
	{"gateway.url", "", "text", "the gateway's address as clients know it, behind a proxy; apps need keys then"},
	{"gateway.tls_cert", "", "text", "certificate of the gateway, a PEM file; read again when it changes"},
	{"gateway.tls_key", "", "text", "the certificate's key, a PEM file"},
	{"gateway.hosts", "", "list", "more names that browsers may know the gateway by"},
	{"gateway.origins", "", "list", "pages that may call the gateway from elsewhere, as https://app.example"},
	{"gateway.metrics", "local", "text", "who may read the gateway's /metrics: local (this machine), all or off"},
	{"nodes.key", "", "text", "key file of the owner of nodes, a bunker's address too; owner.key in the data folder if unset"},
	{"notify.owner", "", "text", "key that gets notices as private messages, npub or hex"},
	{"notify.webhook", "", "file", "address that notices are posted to, or file:/path of a file that holds it"},
	{"notify.webhook_secret", "", "file", "file:/path of a file with the secret that signs them (Standard Webhooks); the node's key signs if unset"},
	{"notify.desktop", "false", "yesno", "show notices on this machine's desktop"},
	{"notify.quiet", "", "text", "hours of the day when only urgent notices are told, such as 22:00-07:00"},
	{"notify.zone", "", "text", "time zone of notify.quiet, such as Europe/Berlin; this machine's if unset"},
}

func names() (all []string) {
	for _, k := range table {
		all = append(all, k.name)
	}
	return all
}

// envName is the variable that sets a setting.
func envName(setting string) string {
	return "INFERNET_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

// settingOf finds a setting that a flag sets.
func settingOf(name string) setting {
	for _, k := range table {
		if k.name == name {
			return k
		}
	}
	panic("no setting " + name) // a flag that sets nothing
}
