"use strict";
// A page of charts and tables, without examples.
ifcurate.drawAll();
