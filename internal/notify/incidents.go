package notify

// Open lists the incidents that have begun and are not over.
func (o *Outbox) Open() ([]string, error) {
	rows, err := o.db.Query("select incident from incidents where open order by incident limit 1000")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var incident string
		if err := rows.Scan(&incident); err != nil {
			return nil, err
		}
		all = append(all, incident)
	}
	return all, rows.Err()
}
