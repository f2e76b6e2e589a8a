package relay

// terms are the limits and rules that hold now.
func (r *Relay) terms() *Config { return r.live.Load() }

// Reload takes over what may change while a relay runs: its name and description, its admins, and every limit and rule but
// KeepFree. Where it stores, listens and logs stays as it was opened. What is connected stays connected; a lower limit of
// connections holds for those that come.
func (r *Relay) Reload(c Config) {
	c.Dir, c.Door, c.Listen, c.ServiceURL, c.Files, c.Log, c.Now, c.KeepFree = r.Dir, r.Door, r.Listen, r.ServiceURL, r.Files, r.Log, r.Now, r.KeepFree
	c = withDefaults(c)
	r.live.Store(&c)
}
