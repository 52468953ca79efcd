"""L-infinity-distance nets: networks whose every unit is a distance, 1-Lipschitz in l_inf by construction."""
